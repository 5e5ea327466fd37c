import { createLinkService, loadSiteConfig } from '../../lib/index.ts'
import { defineCommand } from '../command.ts'
import { credentials } from '../credentials.ts'
import { tellEvents } from '../serve-site.ts'
import { printJson, printLines, stopSignal, warn } from '../terminal.ts'

/** `qkd link serve`: the link ends of a site apart from its network layer. */
export const serveCommand = defineCommand({
  command: 'serve',
  describe: "Run the ends of a site's links where services.links says, until SIGTERM or Ctrl-C",
  builder: yargs =>
    yargs
      .option('config', { type: 'string', demandOption: true, requiresArg: true, describe: "The site's configuration" })
      .example('$0 link serve --config site-a.json', 'beside qkd kms serve and qkd qnl serve with the same file'),
  handler: async ({ config: path, json }) => {
    const stopped = stopSignal()
    const { config, warnings } = await loadSiteConfig(path, credentials())
    warn(warnings, { json })
    await using links = await createLinkService(config)
    tellEvents(links, { json })
    const { siteId, address } = links
    const { service } = address
    await (json
      ? printJson({ ready: true, siteId, address, pid: process.pid })
      : printLines(
          `${siteId} serves: ${config.links.length} links to its network layer at ${service.host}:${service.port}`,
        ))
    await stopped
  },
})
