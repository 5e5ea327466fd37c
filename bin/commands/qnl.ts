import { defineCommand, defineGroup } from '../command.ts'
import { serveNode } from '../serve-node.ts'

const serveCommand = defineCommand({
  command: 'serve',
  describe: 'Run the network layer of a site where services.qnl says, until SIGTERM or Ctrl-C',
  builder: yargs =>
    yargs
      .option('config', { type: 'string', demandOption: true, requiresArg: true, describe: "The site's configuration" })
      .example('$0 qnl serve --config site-a.json', 'beside qkd kms serve and qkd link serve with the same file'),
  handler: args => serveNode(args),
})

/** `qkd qnl`: the network layer of a site, apart from its other parts. */
export const qnlCommands = defineGroup('qnl', "Run a site's network layer apart", [serveCommand])
