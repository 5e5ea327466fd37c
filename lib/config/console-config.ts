import { isLoopback } from '../util/ip-address.ts'
import type { JsonSchema, SchemaFault } from '../util/json-schema.ts'
import { etsiId, integer, list, listenSchema, text } from './schema-parts.ts'
import type { ListenConfig } from './site-config.ts'

/** Where the console's page is served, and to whom. */
export interface ConsoleConfig extends ListenConfig {
  /**
   * Names of certificates that may see it, besides the site's `operators`: then over mutual TLS, with the certificate and the
   * authority of `tls`. Default none: plain HTTP, for this machine alone.
   */
  readonly viewers?: readonly string[]
  /** Where `qkd store backup` of this site writes to: a file, or a directory. Default none: the page says that none is known. */
  readonly backups?: string
  /** How old the newest of them may be, in hours. Default 24. */
  readonly backupMaxAgeHours?: number
}

/** The same as it stands in a file. */
export type ConsoleConfigFile = Partial<Pick<ConsoleConfig, 'host'>> & Omit<ConsoleConfig, 'host'>

const at = listenSchema('The page with the state of what runs here; without it none is served')

/** The schema of `console`. */
export const consoleSchema: JsonSchema = {
  ...at,
  properties: {
    ...(at.properties as Record<string, JsonSchema>),
    viewers: list(
      'Names of certificates that may see it over mutual TLS, besides people of operators; without it plain HTTP on a loopback address',
      etsiId('Common name'),
      256,
    ),
    backups: text('Where backups of the store are written, a file or a directory, relative to this file; for a site'),
    backupMaxAgeHours: integer('How old the newest of them may be, hours', 1, 8_760, 24),
  },
}

/** What no schema can say of `console`; `people` is how many the site knows by role. */
export function checkConsole(settings: ConsoleConfigFile | undefined, { people = 0 } = {}): SchemaFault[] {
  if (settings === undefined) return []
  const { host = '127.0.0.1', viewers } = settings
  if (viewers === undefined && !isLoopback(host)) {
    const message = `"${host}" is no loopback address: name in "viewers" whose certificates may see the page, or use 127.0.0.1`
    return [{ path: '/console/host', message }]
  }
  if (viewers?.length === 0 && people === 0)
    return [
      { path: '/console/viewers', message: 'names nobody, and "operators" has no people; name whom the page is for' },
    ]
  return []
}
