import { defineCommand, defineGroup } from '../command.ts'
import { serveSite, withServeOptions } from '../serve-site.ts'

const serveCommand = defineCommand({
  command: 'serve',
  describe: 'Run the KMS of a site, with the network layer where services.qnl says, until SIGTERM or Ctrl-C',
  builder: yargs =>
    withServeOptions(yargs).example(
      '$0 kms serve --config site-a.json',
      'beside qkd qnl serve and qkd link serve with the same file, here or elsewhere',
    ),
  handler: args => serveSite(args, { role: 'kms' }),
})

/** `qkd kms`: the key management service of a site, apart from its other parts. */
export const kmsCommands = defineGroup('kms', "Run a site's key management service apart", [serveCommand])
