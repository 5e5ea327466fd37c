import { isLoopback } from '../util/ip-address.ts'
import type { JsonSchema, SchemaFault } from '../util/json-schema.ts'
import { etsiId, list, listenSchema } from './schema-parts.ts'
import type { ListenConfig } from './site-config.ts'

/** Where the console's page is served, and to whom. */
export interface ConsoleConfig extends ListenConfig {
  /**
   * Names of certificates that may see it, besides the site's `operators`: then over mutual TLS, with the certificate and the
   * authority of `tls`. Default none: plain HTTP, for this machine alone.
   */
  readonly viewers?: readonly string[]
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
