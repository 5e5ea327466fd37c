import type { Argv } from 'yargs'
import {
  createProfileKms,
  InvalidArgumentError,
  KME_PROFILE_NAMES,
  type KmeProfileName,
  type Kms,
  loadSaeProfile,
  readKmeTlsFiles,
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
  readonly pfx?: string
  readonly passphraseFile?: string
  readonly profile?: KmeProfileName
  readonly timeoutMs: number
  readonly json: boolean
}

const NEEDED = ['kme', 'sae', 'cert', 'key', 'ca'] as const
/** All that `--config` says in their place. */
const PARTS = [...NEEDED, 'kmeId', 'pfx', 'passphraseFile', 'profile'] as const
/** In place of `cert` and `key`; authorities in the file stand for `ca` too. */
const NEEDED_WITH_PFX = ['kme', 'sae', 'pfx'] as const
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
    .option('pfx', {
      type: 'string',
      group: GROUP,
      describe: 'Certificate and key of this host in one PKCS #12 file (.p12), in place of --cert and --key',
    })
    .option('passphrase-file', {
      type: 'string',
      group: GROUP,
      describe: 'File whose first line is the passphrase of --pfx or --key',
    })
    .option('profile', {
      choices: KME_PROFILE_NAMES,
      group: GROUP,
      describe: 'What the KME does otherwise than the standard; default etsi',
    })
    .option('timeout-ms', {
      type: 'number',
      group: GROUP,
      default: 5_000,
      describe: 'How long to wait for an answer, in milliseconds',
    })
}

/** Calls `use` with the KMS as the host sees it, and closes it whatever comes. */
export async function withKms<T>(args: KmeArguments, use: (kms: Kms) => Promise<T>): Promise<T> {
  await using kms = createProfileKms(await readProfile(args))
  return await use(kms)
}

/** The profile of the host: `--config`, or the parts. */
export async function readProfile(args: KmeArguments): Promise<SaeProfile> {
  const given = PARTS.filter(name => args[name] !== undefined)
  if (args.config !== undefined) {
    if (given.length > 0) {
      throw new InvalidArgumentError(`--config names everything; leave out ${given.map(option).join(', ')}`)
    }
    const { profile, warnings } = await loadSaeProfile(args.config)
    warn(warnings, args)
    return profile
  }
  const missing = (args.pfx === undefined ? NEEDED : NEEDED_WITH_PFX).filter(name => args[name] === undefined)
  if (missing.length > 0) {
    throw new InvalidArgumentError(
      `Say how to reach the KME: --config sae.json, or each part (missing: ${missing.map(option).join(', ')})`,
    )
  }
  const { kme = '', sae = '', cert, key, ca, pfx, passphraseFile, kmeId, profile } = args
  const { tls, warnings } = await readKmeTlsFiles({ cert, key, ca, pfx, passphraseFile }, { nameOf: option })
  warn(warnings, args)
  return { saeId: sae, kme, ...(kmeId && { kmeId }), ...(profile && { profile }), tls }
}

function option(name: string): string {
  return `--${name.replaceAll(/[A-Z]/g, letter => `-${letter.toLowerCase()}`)}`
}
