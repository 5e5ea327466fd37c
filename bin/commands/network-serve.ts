import {
  createControllerServer,
  describeNetworkEvent,
  loadControllerConfig,
  type NetworkEvent,
} from '../../lib/index.ts'
import { defineCommand } from '../command.ts'
import { consoleAt, withConsoleOption } from '../console-at.ts'
import { serveNode } from '../serve-node.ts'
import { printJson, printLines, stopSignal, warn } from '../terminal.ts'

/** `qkd network serve`: the controller. */
export const networkServeCommand = defineCommand({
  command: 'serve',
  describe: 'Run the controller of a network, or one of its replicas, until SIGTERM or Ctrl-C',
  builder: yargs =>
    withConsoleOption(yargs)
      .option('config', {
        type: 'string',
        demandOption: true,
        requiresArg: true,
        describe: "The controller's configuration",
      })
      .example(
        '$0 network serve --config controller.json',
        'prints one line when it serves; plans go to standard error',
      ),
  handler: async ({ config: path, console: page, json }) => {
    const stopped = stopSignal()
    const { config, warnings } = await loadControllerConfig(path)
    warn(warnings, { json })
    const onEvent = (event: NetworkEvent) =>
      void process.stderr.write(`${json ? JSON.stringify({ event }) : describeNetworkEvent(event)}\n`)
    const at = consoleAt(page, config.console)
    await using server = await createControllerServer({ ...config, ...(at && { console: at }) }, { onEvent })
    const { controllerId, address, consoleUrl, leading } = server
    const state = leading ? 'plans' : 'waits for its turn'
    await (json
      ? printJson({ ready: true, controllerId, address, consoleUrl, leading, pid: process.pid })
      : printLines(
          `${controllerId} serves at ${address.host}:${address.port} and ${state}${consoleUrl === undefined ? '' : `; console at ${consoleUrl}`}`,
        ))
    await stopped
  },
})

/** `qkd network node`: a site's node apart from its KMS. */
export const networkNodeCommand = defineCommand({
  command: 'node',
  describe:
    'Run the links and the network node of a site apart from its KMS, where network.qnl of its configuration says',
  builder: yargs =>
    yargs
      .option('config', { type: 'string', demandOption: true, requiresArg: true, describe: "The site's configuration" })
      .example('$0 network node --config site-a.json', 'then: qkd site serve --config site-a.json, here or elsewhere'),
  handler: args => serveNode(args),
})
