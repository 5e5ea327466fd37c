import { readFile } from 'node:fs/promises'
import type { Argv } from 'yargs'
import {
  ConfigError,
  createHttpsTransport,
  createOperatorClient,
  createSocketTransport,
  loadSiteConfig,
  type OperatorClient,
} from '../lib/index.ts'
import { usageError } from './command.ts'
import { credentials } from './credentials.ts'

const GROUP = 'Way to the running site (one of the first three):'

/** How a command for operators reaches the site. */
export interface SiteArguments {
  readonly config?: string | undefined
  readonly socket?: string | undefined
  readonly site?: string | undefined
  readonly cert?: string | undefined
  readonly key?: string | undefined
  readonly ca?: string | undefined
  readonly kmeId?: string | undefined
}

/** Adds the options by which a command for operators reaches the site. */
export function withSiteOptions<T>(yargs: Argv<T>) {
  return yargs
    .option('config', {
      type: 'string',
      requiresArg: true,
      group: GROUP,
      describe: "The site's configuration, on its machine: it names the socket for operators",
    })
    .option('socket', { type: 'string', requiresArg: true, group: GROUP, describe: 'The socket for operators itself' })
    .option('site', {
      type: 'string',
      requiresArg: true,
      group: GROUP,
      describe: 'URL for operators, as https://127.0.0.1:8017, with --cert, --key and --ca',
    })
    .option('cert', {
      type: 'string',
      requiresArg: true,
      group: GROUP,
      describe: "The operator's certificate (PEM file)",
    })
    .option('key', { type: 'string', requiresArg: true, group: GROUP, describe: 'Private key of it (PEM file)' })
    .option('ca', { type: 'string', requiresArg: true, group: GROUP, describe: 'Authority of the site (PEM file)' })
    .option('kme-id', { type: 'string', requiresArg: true, group: GROUP, describe: 'KME ID that the site must have' })
}

/** Runs `use` with a way to the site, which is closed after it. */
export async function withSite<T>(args: SiteArguments, use: (site: OperatorClient) => Promise<T>): Promise<T> {
  const client = createOperatorClient(await transportOf(args))
  try {
    return await use(client)
  } finally {
    await client.close()
  }
}

async function transportOf({ config, socket, site, cert, key, ca, kmeId }: SiteArguments) {
  if ([config, socket, site].filter(way => way !== undefined).length !== 1)
    throw usageError('Name the site by one of --config, --socket and --site')
  if (socket !== undefined) return createSocketTransport({ path: socket })
  if (config !== undefined) {
    const { operators } = (await loadSiteConfig(config, credentials())).config
    if (operators?.socket !== undefined) return createSocketTransport({ path: operators.socket })
    throw new ConfigError(`${config}: /operators/socket: missing; name a socket there, or the site's URL by --site`)
  }
  if (cert === undefined || key === undefined || ca === undefined)
    throw usageError('--site needs --cert, --key and --ca')
  const [certPem, keyPem, caPem] = await Promise.all([cert, key, ca].map(path => readFile(path, 'utf8')))
  return createHttpsTransport({
    baseUrl: site!,
    cert: certPem!,
    key: keyPem!,
    ca: caPem!,
    minVersion: 'TLSv1.3',
    // The site waits for others that it tells.
    timeoutMs: 30_000,
    ...(kmeId !== undefined && { expectedKmeId: kmeId }),
  })
}
