import { readFile } from 'node:fs/promises'
import { resolve, sep } from 'node:path'
import { ConfigError, InvalidArgumentError } from '../errors.ts'
import type { JsonSchema, SchemaFault } from '../util/json-schema.ts'
import { hasPassword, postgresServers } from '../util/postgres-hosts.ts'
import { type KekPlace, resolveStoreKek, type StoreKekConfig, storeKekSchema } from './kek-config.ts'
import { integer, name, objectSchema, text } from './schema-parts.ts'
import { openToOthers, unreadable } from './tls-files.ts'

/** This process among those that share the pools of its site. */
export interface ReplicaConfig {
  /** Its name among them. */
  readonly id: string
  /** Where it listens for its fellows, and where they find it. */
  readonly host: string
  /** TCP port; 0 takes a free one. */
  readonly port: number
}

/** Pools in a PostgreSQL database that the replicas of the site share. */
export interface PostgresStoreConfig {
  readonly kind: 'postgresql'
  /** One server, or several of which one is written: `postgres://qkd@db-1:5432,db-2:5432/qkd`. */
  readonly url: string
  /** Its first line is the password; else that is in the URL, or where `PGPASSFILE` says. */
  readonly passwordFile?: string
  /** Directory of this replica on its own host, for the keys that the database must not have; made where it's missing. */
  readonly path: string
  readonly kek: StoreKekConfig
  /** Default the only one: named as its site, and nobody finds it. */
  readonly replica?: ReplicaConfig
  /** How long an owner of the pools that says nothing keeps them, in milliseconds. Default 5,000. */
  readonly leaseMs: number
}

/** Where the site keeps its pools. */
export type StoreConfig =
  | { readonly kind: 'memory' }
  | {
      readonly kind: 'lmdb'
      /** Directory of the store; made where it's missing. */
      readonly path: string
      readonly kek: StoreKekConfig
      /** Where commit numbers are written a second time, outside of that directory. Default `path` with `.commits` behind it. */
      readonly commitFile?: string
    }
  | PostgresStoreConfig

/** The same as it stands in a file: the schema alone does not say what goes with which kind. */
export interface StoreConfigFile {
  readonly kind: StoreConfig['kind']
  readonly path?: string
  readonly kek?: StoreKekConfig
  readonly url?: string
  readonly passwordFile?: string
  readonly replica?: Omit<ReplicaConfig, 'host'> & { readonly host?: string }
  readonly leaseMs?: number
  readonly commitFile?: string
}

const DEFAULT_LEASE_MS = 5_000

/** Which fields go with which kind is checked in words of its own. */
export const storeSchema: JsonSchema = {
  ...objectSchema(
    'Where the pools are kept',
    {
      kind: {
        enum: ['memory', 'lmdb', 'postgresql'],
        description: 'memory (gone at the end), lmdb (durable, one process) or postgresql (durable, replicas share it)',
      },
      path: text('Directory of the store, or of this replica of it, relative to this file'),
      kek: storeKekSchema,
      commitFile: text(
        'lmdb: where commit numbers are written a second time, so that a copy of the directory that is put back is noticed; outside of it, on another disk if there is one; left out the directory with ".commits" behind its name',
      ),
      url: text('postgresql: URL of the database, whose host part may list several servers (db-1:5432,db-2:5432)'),
      passwordFile: text('postgresql: file whose first line is the password, mode 0600, relative to this file'),
      replica: objectSchema(
        'postgresql: this process among those that share the pools',
        {
          id: name('Name of this replica'),
          host: text('Address or name at which it listens for its fellows and they find it; default 127.0.0.1'),
          port: integer('TCP port, 0 for a free one', 0, 65_535),
        },
        ['host'],
      ),
      leaseMs: integer(
        'postgresql: how long an owner of the pools that says nothing keeps them, ms; left out 5,000',
        500,
        60_000,
      ),
    },
    ['path', 'kek', 'commitFile', 'url', 'passwordFile', 'replica', 'leaseMs'],
  ),
  default: { kind: 'memory' },
}

const FIELDS: Readonly<Record<StoreConfig['kind'], { needed: readonly Field[]; also: readonly Field[] }>> = {
  memory: { needed: [], also: [] },
  lmdb: { needed: ['path', 'kek'], also: ['commitFile'] },
  postgresql: { needed: ['url', 'path', 'kek'], also: ['passwordFile', 'replica', 'leaseMs'] },
}
type Field = Exclude<keyof StoreConfigFile, 'kind'>
const KINDS = ['lmdb', 'postgresql'] as const

/** What the schema cannot say. */
export function checkStore({ store }: { readonly store?: StoreConfigFile }): SchemaFault[] {
  if (store === undefined) return []
  const { needed, also } = FIELDS[store.kind]
  const missing = needed
    .filter(field => store[field] === undefined)
    .map(field => ({ path: '/store', message: `field "${field}" is missing; kind "${store.kind}" needs it` }))
  const foreign = (Object.keys(store) as (Field | 'kind')[])
    .filter(field => field !== 'kind' && !needed.includes(field) && !also.includes(field))
    .map(field => {
      const kinds = KINDS.filter(kind => [...FIELDS[kind].needed, ...FIELDS[kind].also].includes(field as Field))
      const words = kinds.map(kind => `"${kind}"`).join(' and ')
      return { path: '/store', message: `field "${field}" goes with kind ${words}; remove it or change the kind` }
    })
  return [...missing, ...foreign, ...checkUrl(store.url)]
}

function checkUrl(url: string | undefined): SchemaFault[] {
  if (url === undefined) return []
  try {
    for (const server of postgresServers(url)) if (!URL.canParse(server)) throw new Error('is not a URL')
    return []
  } catch (error) {
    return [{ path: '/store/url', message: (error as Error).message }]
  }
}

/** The same with whole paths and defaults; what is wrong with it goes to `faults`. `file` is the configuration. */
export async function resolveStore(
  store: StoreConfigFile | undefined,
  { file, ...place }: Omit<KekPlace, 'pointer'> & { readonly file: string },
  faults: SchemaFault[],
): Promise<StoreConfig> {
  if (store === undefined || store.kind === 'memory' || store.path === undefined || store.kek === undefined)
    return { kind: 'memory' }
  const kek = await resolveStoreKek(store.kek, { ...place, pointer: '/store/kek' }, faults)
  const path = resolve(place.baseDir, store.path)
  if (store.kind === 'lmdb') {
    const commitFile = store.commitFile === undefined ? undefined : resolve(place.baseDir, store.commitFile)
    if (commitFile?.startsWith(`${path}${sep}`))
      faults.push({
        path: '/store/commitFile',
        message: 'lies in the directory of the store: it would be put back with it',
      })
    return { kind: 'lmdb', path, kek, ...(commitFile && { commitFile }) }
  }
  const { url = '', replica, leaseMs = DEFAULT_LEASE_MS } = store
  if (hasPassword(url)) await checkPrivate(file, '/store/url', faults)
  const passwordFile = store.passwordFile === undefined ? undefined : resolve(place.baseDir, store.passwordFile)
  if (passwordFile !== undefined) await checkPrivate(passwordFile, '/store/passwordFile', faults)
  return {
    kind: 'postgresql',
    url,
    path,
    kek,
    leaseMs,
    ...(passwordFile === undefined ? {} : { passwordFile }),
    ...(replica === undefined ? {} : { replica: { host: '127.0.0.1', ...replica } }),
  }
}

/**
 * The same store with its pools in another database, as a command line names it: directory and key encryption key stay.
 * @throws {InvalidArgumentError} the URL is none, or has a password, which everybody on the machine could see
 * @throws {ConfigError} the configuration has no store whose directory and key could be used
 */
export function inDatabase(store: StoreConfig, url: string): PostgresStoreConfig {
  if (hasPassword(url)) {
    throw new InvalidArgumentError(
      '--store must have no password, which everybody on this machine could read: put it into the file that PGPASSFILE names (~/.pgpass), or into passwordFile of the configuration',
    )
  }
  const [fault] = checkUrl(url)
  if (fault !== undefined) throw new InvalidArgumentError(`--store: ${fault.message}`)
  if (store.kind === 'memory') {
    throw new ConfigError(
      '--store needs path and kek of /store in the configuration: the directory of this replica, for the keys that the database must not have',
    )
  }
  return store.kind === 'postgresql'
    ? { ...store, url }
    : { kind: 'postgresql', url, path: store.path, kek: store.kek, leaseMs: DEFAULT_LEASE_MS }
}

/** The password of a store, where it stands in a file of its own. */
export async function readStorePassword({
  passwordFile,
}: Pick<PostgresStoreConfig, 'passwordFile'>): Promise<string | undefined> {
  return passwordFile === undefined ? undefined : (await readFile(passwordFile, 'utf8')).split(/\r?\n/, 1)[0]
}

/** A file with a password, which only its owner may read. */
async function checkPrivate(path: string, pointer: string, faults: SchemaFault[]): Promise<void> {
  const fault = await openToOthers(path).catch((error: unknown) => unreadable(path, error))
  if (fault !== undefined) faults.push({ path: pointer, message: fault })
}
