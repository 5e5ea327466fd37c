import { readFile, rm } from 'node:fs/promises'
import type { Argv } from 'yargs'
import {
  askAgent,
  type KadminLocation,
  type KerberosConfig,
  loadKerberosConfig,
} from '../integrations/kerberos/index.ts'
import { ConfigError } from '../lib/index.ts'
import { placeFile } from './file-once.ts'

/** The file of the agent, where no other is named. */
const DEFAULT_FILE = '/etc/qkd/kerberos.json'

/** Adds the option that names the agent's file. */
export function withKerberosFile<T>(yargs: Argv<T>) {
  return yargs.option('kerberos', {
    type: 'string',
    default: DEFAULT_FILE,
    requiresArg: true,
    describe: 'File of the Kerberos agent (docs/kerberos.md has every field)',
  })
}

/** The file as JSON, with what the schema fills in left out, so that it can be written back; undefined where there is none. */
export async function readRawFile(path: string): Promise<Record<string, unknown> | undefined> {
  try {
    return JSON.parse(await readFile(path, 'utf8'))
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw new ConfigError(`${path}: ${(cause as Error).message}`, { cause })
  }
}

/** Writes the file and reads it back as an agent would; what is wrong is refused and changes nothing. */
export async function writeKerberosFile(path: string, raw: Record<string, unknown>): Promise<KerberosConfig> {
  const text = `${JSON.stringify(raw, null, 2)}\n`
  const draft = `${path}.new`
  await placeFile(draft, text, { mode: 0o644, replace: true })
  try {
    const config = await loadKerberosConfig(draft)
    await placeFile(path, text, { mode: 0o644, replace: true })
    return config
  } finally {
    await rm(draft, { force: true })
  }
}

/** The KDC beside this agent; a service's host has none. */
export function requireKdc({ kdc }: KerberosConfig, path: string): NonNullable<KerberosConfig['kdc']> {
  if (kdc !== undefined) return kdc
  throw new ConfigError(`${path}: this is the file of a service's host, which has no KDC`)
}

/** Where kadmin.local works for that KDC. */
export function kadminLocation({ realm, krb5Conf, kdcConf }: NonNullable<KerberosConfig['kdc']>): KadminLocation {
  const environment = {
    ...(krb5Conf === undefined ? {} : { KRB5_CONFIG: krb5Conf }),
    ...(kdcConf === undefined ? {} : { KRB5_KDC_PROFILE: kdcConf }),
  }
  return { realm, environment }
}

/** True where an agent listens at the file's control socket. */
export async function agentRuns({ controlSocket }: KerberosConfig): Promise<boolean> {
  return await askAgent(controlSocket, { command: 'status' }, { timeoutMs: 5_000 }).then(
    () => true,
    () => false,
  )
}
