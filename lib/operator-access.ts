import { dirname, resolve } from 'node:path'
import { type SiteConfigFile, siteConfigSchema } from './config/site-config.ts'
import { loadConfigFile, loadOperatorConfig } from './config.ts'
import { ConfigError } from './errors.ts'
import { createHttpsTransport } from './http/https-transport.ts'
import { createSocketTransport } from './http/socket-transport.ts'
import type { AbortOptions } from './interface/lifecycle.ts'
import { createOperatorClient, type OperatorClient } from './operators/operator-client.ts'

/** Options of `openOperatorClient`. */
export interface OperatorAccessOptions extends AbortOptions {
  /** How long a call may take, in milliseconds. Default 10,000. */
  readonly timeoutMs?: number
}

/**
 * The way of an operator to a running site, from a file that says so: an operator's own (mutual TLS), or the site's
 * configuration, of which no more is read than where its socket is.
 * @throws {ConfigError} the file has faults, or says neither
 */
export async function openOperatorClient(
  path: string,
  { timeoutMs = 10_000, signal }: OperatorAccessOptions = {},
): Promise<OperatorClient> {
  const socket = await siteSocket(path, { signal })
  if (socket !== undefined) return createOperatorClient(createSocketTransport({ path: socket }))
  const { tls, site } = await loadOperatorConfig(path, { signal })
  if (site === undefined)
    throw new ConfigError(`${path}: /: field "site" is missing; it says where the site takes calls of operators`)
  const expected = site.kmeId === undefined ? {} : { expectedKmeId: site.kmeId }
  const transport = createHttpsTransport({ ...tls, baseUrl: site.url, ...expected, timeoutMs, minVersion: 'TLSv1.3' })
  return createOperatorClient(transport)
}

/** Path of the socket that a site's configuration names; undefined for a file that is none. */
async function siteSocket(path: string, { signal }: AbortOptions): Promise<string | undefined> {
  const options = { signal }
  const file = await loadConfigFile<Partial<SiteConfigFile>>(path, { schema: { type: 'object' }, ...options })
  if (file.siteId === undefined) return undefined
  const { operators } = await loadConfigFile<SiteConfigFile>(path, { schema: siteConfigSchema, ...options })
  if (operators?.socket !== undefined) return resolve(dirname(path), operators.socket)
  throw new ConfigError(`${path}: /operators: field "socket" is missing; without it give an operator's file`)
}
