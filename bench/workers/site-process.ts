/** One whole site, with workers where its configuration has them. */
import { fork } from 'node:child_process'
import { createSite, type ServedSite, type SiteConfig } from '../../lib/index.ts'
import { answer } from '../tls/bench-process.ts'

/** Told once, at the start. */
export interface SiteSetup {
  readonly site: SiteConfig
}

let site: ServedSite | undefined

function startWorker() {
  const isSource = import.meta.url.endsWith('.ts')
  const program = new URL(`./worker-process.${isSource ? 'ts' : 'js'}`, import.meta.url)
  return fork(program, [], { stdio: ['ignore', 'ignore', 'inherit', 'ipc', 'pipe'] })
}

answer(
  async (message: SiteSetup | { readonly stored: true } | { readonly pids: true }) => {
    if ('pids' in message) return { pids: site!.workerPids() }
    if ('stored' in message) return { cells: Math.min(...site!.status().pools.map(pool => pool.issuableCells)) }
    site = await createSite(message.site, { startWorker })
    return site.address
  },
  async () => site?.close(),
)
