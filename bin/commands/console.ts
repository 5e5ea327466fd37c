import { loadOperatorConfig, openConsoleRelay } from '../../lib/index.ts'
import { defineCommand } from '../command.ts'
import { parseHostPort } from '../host-port.ts'
import { printJson, printLines, sayIfLong, stopSignal } from '../terminal.ts'

/** `qkd console`: a console elsewhere, in the browser of this machine. */
export const consoleCommand = defineCommand({
  command: 'console <address>',
  describe: 'Bring the console of a running site or controller to a browser of this machine, until SIGTERM or Ctrl-C',
  builder: yargs =>
    yargs
      .positional('address', {
        type: 'string',
        demandOption: true,
        describe: 'HOST:PORT of the console, as "console" in its configuration says',
      })
      .option('config', {
        type: 'string',
        requiresArg: true,
        describe:
          "Whose certificate is shown there: an operator's file, or a site's; without it plain HTTP, on this machine",
      })
      .option('listen', {
        type: 'string',
        requiresArg: true,
        default: '127.0.0.1:0',
        describe: 'Where the browser finds it: a loopback address, port 0 for a free one',
      })
      .option('timeout-ms', {
        type: 'number',
        requiresArg: true,
        default: 10_000,
        describe: 'How long the console may take to answer, in milliseconds',
      })
      .example('$0 console kme-a.example.net:9015 --config operator.json', 'prints the URL to open')
      .example('$0 site serve --config site-a.json --console', 'where the browser runs on the machine of the site'),
  handler: async ({ address, config, listen, timeoutMs, json }) => {
    const stopped = stopSignal()
    const to = parseHostPort('address', address)
    const at = parseHostPort('listen', listen)
    const tls = config === undefined ? undefined : (await loadOperatorConfig(config)).tls
    await using relay = await sayIfLong(`asking ${address} …`, openConsoleRelay({ to, at, tls, timeoutMs }))
    const { url } = relay
    await (json ? printJson({ ready: true, url, pid: process.pid }) : printLines(`console of ${address} at ${url}`))
    await stopped
  },
})
