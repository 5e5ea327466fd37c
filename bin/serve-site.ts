import type { Argv } from 'yargs'
import {
  createSite,
  inDatabase,
  loadSiteConfig,
  requireInteger,
  requireRole,
  type ServedSite,
  watchPolicyFile,
} from '../lib/index.ts'
import type { GlobalArguments } from './command.ts'
import { consoleAt, withConsoleOption } from './console-at.ts'
import { credentials } from './credentials.ts'
import { describeEvent } from './site-events.ts'
import { startWorker } from './start-worker.ts'
import { printJson, printLines, stopSignal, warn } from './terminal.ts'

/** The options of what serves hosts. */
export function withServeOptions(yargs: Argv<GlobalArguments>) {
  return withConsoleOption(yargs)
    .option('config', { type: 'string', demandOption: true, requiresArg: true, describe: "The site's configuration" })
    .option('workers', {
      type: 'number',
      requiresArg: true,
      describe: 'Processes that do TLS and HTTP for the hosts [default: workers of the configuration, or none]',
    })
    .option('store', {
      type: 'string',
      requiresArg: true,
      describe:
        'URL of the PostgreSQL database with the pools, postgres://…, without a password [default: as configured]',
    })
    .option('after-restore', {
      type: 'boolean',
      default: false,
      describe: 'The store was put back to an older copy: give out nothing before other sites have said what it forgot',
    })
}

/** What the command line says then. */
export type ServeArguments = Awaited<ReturnType<typeof withServeOptions>['argv']>

/**
 * Runs a site until it is told to end: all of it in this process, or as role `kms` over the parts that its configuration names
 * under `services`.
 */
export async function serveSite(args: ServeArguments, { role }: { role: 'site' | 'kms' }): Promise<void> {
  const { config: path, workers, console: page, json, afterRestore, store: url } = args
  if (workers !== undefined) requireInteger('--workers', workers, { min: 0, max: 64 })
  // Asked for before anything is open, so that a signal during the start is not lost.
  const stopping = new AbortController()
  const stopped = stopSignal().finally(() => stopping.abort())
  const { config, policyPath, warnings } = await loadSiteConfig(path, credentials())
  warn(warnings, { json })
  if (role === 'kms') requireRole(path, role, config)
  const at = consoleAt(page, config.console)
  const { services, ...whole } = config
  const parts = role === 'kms' && services !== undefined ? { services } : {}
  const store = url === undefined ? config.store : inDatabase(config.store, url)
  const asked = { ...whole, ...parts, store, ...(workers !== undefined && { workers }), ...(at && { console: at }) }
  const { signal } = stopping
  await using site = await createSite(asked, { startWorker, policyPath, afterRestore, signal }).catch(error => {
    if (error !== signal.reason) throw error
    return undefined
  })
  // Told to end before it served: that is an end in good order too.
  if (site === undefined) return
  tellEvents(site, { json })
  using _ = policyPath === undefined ? undefined : followPolicy(site, policyPath)
  await (json ? printJson(ready(site, config.kmeId)) : printLines(readyLine(site, config.kmeId)))
  await stopped
}

/** Writes what happens to standard error, for a person or as JSON. */
export function tellEvents({ telemetry }: Pick<ServedSite, 'telemetry'>, { json }: { json: boolean }): void {
  telemetry.subscribe(event => {
    const text = describeEvent(event)
    if (text !== undefined) process.stderr.write(`${json ? JSON.stringify({ event }) : text}\n`)
  })
}

/** Takes the policy anew whenever its file changes; one with an error is refused whole, and the one before stays. */
function followPolicy(site: ServedSite, path: string): Disposable {
  return watchPolicyFile(path, {
    onPolicy: ({ file }) => site.setPolicy(file),
    onRefusal: error => site.telemetry.emit({ type: 'policy', outcome: 'refused', reason: error.message }),
  })
}

function ready({ siteId, address }: ServedSite, kmeId: string) {
  return { ready: true, siteId, kmeId, address, pid: process.pid }
}

function readyLine(
  { siteId, address: { etsi014, skip, border, peer, console: page } }: ServedSite,
  kmeId: string,
): string {
  const encryptors = skip === undefined ? '' : `, SKIP at ${skip.url}`
  const domains = border === undefined ? '' : `, ETSI 020 at ${border.url}`
  const shown = page === undefined ? '' : `, console at ${page.url}`
  return `${siteId} serves: ETSI 014 as ${kmeId} at ${etsi014.url}${encryptors}${domains}, other sites at ${peer.host}:${peer.port}${shown}`
}
