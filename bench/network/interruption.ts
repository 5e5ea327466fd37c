/** How fast a network of 50 nodes takes note of a link that goes silent: heartbeats, events and plans over real mTLS. */

import { join } from 'node:path'
import { generateNetwork } from '../../examples/networks/generate.ts'
import { dialTlsChannel } from '../../lib/channel/tls-dial.ts'
import { createTlsChannelListener, type TlsChannelListener } from '../../lib/channel/tls-listener.ts'
import { createControllerServer } from '../../lib/controller-server.ts'
import type { MessageChannel } from '../../lib/interface/message-channel.ts'
import type { NodePlan } from '../../lib/interface/network-node.ts'
import { NeighbourWatch } from '../../lib/qnl/control/neighbour-watch.ts'
import { NodeAgent } from '../../lib/qnl/control/node-agent.ts'
import { dialController } from '../../lib/site-network.ts'
import { Fibre } from '../../test/helpers/fibre.ts'
import { ReportingNode } from '../../test/helpers/reporting-node.ts'
import { createTempDir } from '../../test/helpers/temp-dir.ts'
import { createTestAuthority, type TestCredentials } from '../../test/helpers/test-certificates.ts'
import { until } from '../../test/helpers/until.ts'

/** Milliseconds from the moment at which nothing passes any more. */
export interface Interruption {
  /** One of the two neighbours has heard nothing for four heartbeats. */
  readonly downMs: number
  /** The first end of a pair that was served over the link has a plan without it. */
  readonly toldMs: number
  /** Every node has the new plan. */
  readonly plannedMs: number
  /** From the moment the neighbours hear each other again until every node has a plan with the link. */
  readonly restoredMs: number
}

const HEARTBEAT_MS = 40

/** Takes `count` links one after the other, those with the most load first. */
export async function* interruptions(count: number): AsyncGenerator<Interruption> {
  await using dir = await createTempDir()
  const network = generateNetwork({ kind: 'national', nodes: 50, links: 88, demands: 662, seed: 1 })
  const authority = createTestAuthority()
  const nodes = ReportingNode.allOf(network)
  await using server = await createControllerServer({
    controllerId: 'controller-1',
    listen: { host: '127.0.0.1', port: 0 },
    tls: authority.issue('controller-1'),
    sites: [...nodes.keys()].map(siteId => ({ siteId, kmeId: siteId })),
    operators: ['operator'],
    state: { kind: 'file', path: join(dir.path, 'state') },
    periodMs: 1000,
  })
  const controllers = [{ controllerId: 'controller-1', ...server.address }]
  const watches = new Map([...nodes.keys()].map(siteId => [siteId, new NeighbourWatch()]))
  const agents = [...nodes.values()].map(node => {
    const tls = authority.issue(node.siteId)
    const controller = dialController({ tls, network: { controllers } }, { siteId: node.siteId })
    const agent = new NodeAgent({ node, controller, neighbours: watches.get(node.siteId)! })
    return { close: () => agent.close().then(() => controller.close()) }
  })
  await using operator = dialController({ tls: authority.issue('operator'), network: { controllers } })
  try {
    const planned = async () => {
      const { links, sites, epoch } = await operator.status({ signal: AbortSignal.timeout(10_000) })
      return { loaded: links.filter(({ loadBps }) => loadBps > 0), level: sites.every(site => site.epoch >= epoch) }
    }
    await until(
      async () => {
        const { loaded, level } = await planned()
        return loaded.length > 60 && level
      },
      'a plan for all',
      { timeoutMs: 60_000 },
    )
    const busiest = (await planned()).loaded.toSorted((p, q) => q.loadBps - p.loadBps)
    for (const { linkId, a, b } of busiest.slice(0, count)) {
      const line = await openLine({ a, b, watches, credentials: name => authority.issue(name) })
      yield await interrupt({
        linkId,
        a,
        b,
        nodes,
        watches,
        line,
        openAgain: () => openLine({ a, b, watches, credentials: name => authority.issue(name) }),
      })
    }
  } finally {
    await Promise.all(agents.map(agent => agent.close()))
  }
}

interface Line {
  freeze(): void
  close(): Promise<void>
}

/** A channel between two neighbours with a stretch of fibre in it, watched at both ends. */
async function openLine(options: {
  a: string
  b: string
  watches: ReadonlyMap<string, NeighbourWatch>
  credentials: (name: string) => TestCredentials
}): Promise<Line> {
  const { a, b, watches, credentials } = options
  const channels: MessageChannel[] = []
  const attend = (channel: MessageChannel) => {
    channels.push(channel)
    void channel.receive().catch(() => {})
  }
  const listener: TlsChannelListener = createTlsChannelListener({
    ...credentials(b),
    heartbeatMs: HEARTBEAT_MS,
    identify: ({ commonName }) => commonName,
    onChannel: channel => attend(watches.get(b)!.watch(a, channel)),
  })
  const { port } = await listener.listen()
  const fibre = await Fibre.open({ to: port })
  const identify = ({ commonName }: { commonName?: string | undefined }) => commonName
  const dialled = await dialTlsChannel({
    ...credentials(a),
    host: '127.0.0.1',
    port: fibre.port,
    expectedPeerId: b,
    identify,
    heartbeatMs: HEARTBEAT_MS,
  })
  attend(watches.get(a)!.watch(b, dialled))
  return {
    freeze: () => fibre.freeze(),
    close: async () => {
      await fibre.close()
      await Promise.all(channels.map(channel => channel.close().catch(() => {})))
      await listener.close()
    },
  }
}

async function interrupt(parts: {
  linkId: string
  a: string
  b: string
  nodes: ReadonlyMap<string, ReportingNode>
  watches: ReadonlyMap<string, NeighbourWatch>
  line: Line
  openAgain: () => Promise<Line>
}): Promise<Interruption> {
  const { linkId, a, b, nodes, watches, line } = parts
  const crosses = ({ demands }: NodePlan) =>
    demands.some(({ paths }) => paths.some(({ linkIds }) => linkIds.includes(linkId)))
  const senders = [...nodes.values()].filter(({ plan }) => plan !== undefined && crosses(plan))
  const times: { down?: number; told?: number; atAll?: number } = {}
  const waiting = new Set(nodes.keys())
  const stops = [a, b].map(siteId =>
    watches.get(siteId)!.onNews(({ state }) => {
      if (state === 'silent') times.down ??= performance.now()
    }),
  )
  for (const node of nodes.values()) {
    stops.push(
      node.plans.add(plan => {
        if (crosses(plan)) return
        if (times.down !== undefined && senders.includes(node)) times.told ??= performance.now()
        waiting.delete(node.siteId)
        if (waiting.size === 0) times.atAll ??= performance.now()
      }),
    )
  }
  const beganMs = performance.now()
  line.freeze()
  await until(() => times.atAll !== undefined, `a plan without ${linkId}`, { timeoutMs: 30_000 })
  for (const stop of stops) stop()
  await line.close()
  const again = await parts.openAgain()
  const heardMs = performance.now()
  await until(() => senders.some(({ plan }) => crosses(plan!)), `${linkId} back in the plans`, { timeoutMs: 30_000 })
  const restoredMs = performance.now() - heardMs
  await again.close()
  await until(() => senders.every(({ plan }) => !crosses(plan!)), `a plan without ${linkId}`, { timeoutMs: 30_000 })
  return { downMs: times.down! - beganMs, toldMs: times.told! - beganMs, plannedMs: times.atAll! - beganMs, restoredMs }
}
