import { defineCommand, defineGroup } from '../command.ts'
import { serveSite, withServeOptions } from '../serve-site.ts'

const serveCommand = defineCommand({
  command: 'serve',
  describe: 'Run the KME of a site until SIGTERM or Ctrl-C: ETSI 014 for its hosts, and the way to other sites',
  builder: yargs =>
    withServeOptions(yargs)
      .example('$0 site serve --config site-a.json', 'prints one line when it serves; events go to standard error')
      .example('$0 site serve --config site-a.json --workers 4', 'serves hosts from four more processes')
      .example('$0 site serve --config site-a.json --json', 'the same for a program: addresses as JSON'),
  handler: args => serveSite(args, { role: 'site' }),
})

/** `qkd site`: what runs at a site. */
export const siteCommands = defineGroup('site', 'Run a site', [serveCommand])
