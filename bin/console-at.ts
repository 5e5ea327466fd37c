import type { Argv } from 'yargs'
import type { ConsoleConfig } from '../lib/index.ts'
import { parseHostPort } from './host-port.ts'

/** Where the page is served if nobody says where: a fixed place, so that it can be found again. */
const DEFAULT_AT = { host: '127.0.0.1', port: 9015 }

/** Adds `--console` to a command that serves. */
export function withConsoleOption<T>(yargs: Argv<T>) {
  return yargs.option('console', {
    type: 'string',
    describe: `Serve the console, a page that shows the state of it, at HOST:PORT; default what the configuration says, or ${DEFAULT_AT.host}:${DEFAULT_AT.port}`,
  })
}

/** What `--console` and the configuration come to; undefined for no console. */
export function consoleAt(
  option: string | undefined,
  configured: ConsoleConfig | undefined,
): ConsoleConfig | undefined {
  if (option === undefined) return configured
  if (option === '') return configured ?? DEFAULT_AT
  return { ...configured, ...parseHostPort('console', option) }
}
