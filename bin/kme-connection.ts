import { readFile } from 'node:fs/promises'
import type { Argv } from 'yargs'
import {
  ConfigError,
  createRemoteKms,
  InvalidArgumentError,
  type Kms,
  loadSaeProfile,
  type SaeProfile,
} from '../lib/index.ts'
import { warn } from './terminal.ts'

/** How a command reaches the KME of the host it runs for. */
export interface KmeArguments {
  readonly config?: string
  readonly kme?: string
  readonly kmeId?: string
  readonly sae?: string
  readonly cert?: string
  readonly key?: string
  readonly ca?: string
  readonly timeoutMs: number
  readonly json: boolean
}

const NEEDED = ['kme', 'sae', 'cert', 'key', 'ca'] as const
const GROUP = 'Connection to the KME (a profile, or each part):'

/** Adds the options of a connection to a KME. */
export function withKmeOptions<T>(yargs: Argv<T>) {
  return yargs
    .option('config', { type: 'string', group: GROUP, describe: 'Profile of the host, as qkd pki init writes it' })
    .option('kme', { type: 'string', group: GROUP, describe: 'Base URL, such as https://127.0.0.1:8014' })
    .option('kme-id', { type: 'string', group: GROUP, describe: 'KME ID that its certificate must name' })
    .option('sae', { type: 'string', group: GROUP, describe: 'SAE ID of this host' })
    .option('cert', { type: 'string', group: GROUP, describe: 'Certificate of this host (PEM file)' })
    .option('key', { type: 'string', group: GROUP, describe: 'Private key of the certificate (PEM file)' })
    .option('ca', { type: 'string', group: GROUP, describe: 'Certificate authority of the KME (PEM file)' })
    .option('timeout-ms', {
      type: 'number',
      group: GROUP,
      default: 5_000,
      describe: 'How long to wait for an answer, in milliseconds',
    })
}

/** Calls `use` with the KMS as the host sees it, and closes it whatever comes. */
export async function withKms<T>(args: KmeArguments, use: (kms: Kms) => Promise<T>): Promise<T> {
  const { saeId, kme, kmeId, tls } = await readProfile(args)
  await using kms = createRemoteKms({ baseUrl: kme, saeId, ...tls, expectedKmeId: kmeId })
  return await use(kms)
}

/** The profile of the host: `--config`, or the parts. */
export async function readProfile(args: KmeArguments): Promise<SaeProfile> {
  const given = [...NEEDED, 'kmeId' as const].filter(name => args[name] !== undefined)
  if (args.config !== undefined) {
    if (given.length > 0) {
      throw new InvalidArgumentError(`--config names everything; leave out ${given.map(option).join(', ')}`)
    }
    const { profile, warnings } = await loadSaeProfile(args.config)
    warn(warnings, args)
    return profile
  }
  const { kme, sae, cert, key, ca, kmeId } = args
  if (kme === undefined || sae === undefined || cert === undefined || key === undefined || ca === undefined) {
    const missing = NEEDED.filter(name => args[name] === undefined)
    throw new InvalidArgumentError(
      `Say how to reach the KME: --config sae.json, or each part (missing: ${missing.map(option).join(', ')})`,
    )
  }
  const [certPem, keyPem, caPem] = await Promise.all([readPem('cert', cert), readPem('key', key), readPem('ca', ca)])
  return { saeId: sae, kme, kmeId, tls: { cert: certPem, key: keyPem, ca: caPem } }
}

function option(name: string): string {
  return name === 'kmeId' ? '--kme-id' : `--${name}`
}

async function readPem(name: string, path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8')
  } catch (cause) {
    throw new ConfigError(`--${name}: can't read ${path}: ${(cause as NodeJS.ErrnoException).code}`, { cause })
  }
}
