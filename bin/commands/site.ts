import { createSite, loadSiteConfig, requireInteger, type ServedSite, watchPolicyFile } from '../../lib/index.ts'
import { defineCommand, defineGroup } from '../command.ts'
import { consoleAt, withConsoleOption } from '../console-at.ts'
import { credentials } from '../credentials.ts'
import { describeEvent } from '../site-events.ts'
import { startWorker } from '../start-worker.ts'
import { printJson, printLines, stopSignal, warn } from '../terminal.ts'

const serveCommand = defineCommand({
  command: 'serve',
  describe: 'Run the KME of a site until SIGTERM or Ctrl-C: ETSI 014 for its hosts, and the way to other sites',
  builder: yargs =>
    withConsoleOption(yargs)
      .option('config', { type: 'string', demandOption: true, requiresArg: true, describe: "The site's configuration" })
      .option('workers', {
        type: 'number',
        requiresArg: true,
        describe: 'Processes that do TLS and HTTP for the hosts [default: workers of the configuration, or none]',
      })
      .example('$0 site serve --config site-a.json', 'prints one line when it serves; events go to standard error')
      .example('$0 site serve --config site-a.json --json', 'the same for a program: addresses as JSON'),
  handler: async ({ config: path, workers, console: page, json }) => {
    if (workers !== undefined) requireInteger('--workers', workers, { min: 0, max: 64 })
    // Asked for before anything is open, so that a signal during the start is not lost.
    const stopped = stopSignal()
    const { config, policyPath, warnings } = await loadSiteConfig(path, credentials())
    warn(warnings, { json })
    const at = consoleAt(page, config.console)
    const asked = { ...config, ...(workers !== undefined && { workers }), ...(at && { console: at }) }
    await using site = await createSite(asked, { startWorker, policyPath })
    site.telemetry.subscribe(event => {
      const text = describeEvent(event)
      if (text !== undefined) process.stderr.write(`${json ? JSON.stringify({ event }) : text}\n`)
    })
    using _ = policyPath === undefined ? undefined : followPolicy(site, policyPath)
    await (json ? printJson(ready(site, config.kmeId)) : printLines(readyLine(site, config.kmeId)))
    await stopped
  },
})

/** Takes the policy anew whenever its file changes; one with an error is refused whole, and the one before stays. */
function followPolicy(site: ServedSite, path: string): Disposable {
  return watchPolicyFile(path, {
    onPolicy: ({ file }) => site.setPolicy(file),
    onRefusal: error => site.telemetry.emit({ type: 'policy', outcome: 'refused', reason: error.message }),
  })
}

/** `qkd site`: what runs at a site. */
export const siteCommands = defineGroup('site', 'Run a site', [serveCommand])

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
