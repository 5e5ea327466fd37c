import { createNetworkNode, loadSiteConfig } from '../lib/index.ts'
import { credentials } from './credentials.ts'
import { tellEvents } from './serve-site.ts'
import { printJson, printLines, stopSignal, warn } from './terminal.ts'

/** Runs the network layer of a site, and its links where they have no process of their own, until it is told to end. */
export async function serveNode({ config: path, json }: { config: string; json: boolean }): Promise<void> {
  const stopped = stopSignal()
  const { config, warnings } = await loadSiteConfig(path, credentials())
  warn(warnings, { json })
  await using node = await createNetworkNode(config)
  tellEvents(node, { json })
  const { siteId, address } = node
  const others = address.node === undefined ? '' : `, other nodes at ${address.node.host}:${address.node.port}`
  await (json
    ? printJson({ ready: true, siteId, address, pid: process.pid })
    : printLines(`${siteId} serves: its KMS at ${address.qnl.host}:${address.qnl.port}${others}`))
  await stopped
}
