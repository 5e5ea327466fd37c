import { InvalidArgumentError, requireInteger } from '../../../lib/index.ts'
import type { KerberosKey } from '../enctype.ts'
import { parsePrincipal } from '../principal.ts'
import { type DatabaseLocation, type DatabaseSession, withDatabase } from './database-session.ts'
import { type DumpRecord, type KeyRow, TL_TYPES } from './dump-record.ts'
import type { LockFileFault } from './lock-file.ts'
import { MasterKeys, masterKeyVersionOf } from './master-key.ts'

/** Options of `KdcDatabase`. */
export interface KdcDatabaseOptions {
  readonly realm: string
  /** Path of the db2 database, `database_name` in kdc.conf. Default Debian's, /var/lib/krb5kdc/principal. */
  readonly database?: string
  /** `key_stash_file` in kdc.conf. Default Debian's, /etc/krb5kdc/stash. */
  readonly stashFile?: string
  /** Variables for MIT's programs, such as KRB5_CONFIG and KRB5_KDC_PROFILE. Default none besides the process's own. */
  readonly environment?: Readonly<Record<string, string>>
  /** For one change, the wait for others included, in milliseconds; 100 to 300,000. Default 20,000. */
  readonly timeoutMs?: number
  /** Told of a lock file that was found missing and mended. */
  readonly onFault?: (fault: LockFileFault) => void
}

/** One key version to put before the KDC. */
export interface DatabaseVersion {
  readonly kvno: number
  readonly keys: readonly KerberosKey[]
}

/** What stands in the database for a principal; key bytes excepted. */
export interface PrincipalState {
  readonly principal: string
  readonly attributes: number
  /** Seconds; 0 leaves it to the realm. */
  readonly maxLife: number
  readonly maxRenewableLife: number
  /** The newest first. */
  readonly kvnos: readonly number[]
}

/** Says which key versions a record shall have; `present` are those that it has now, the newest first. */
export type ChooseVersions = (present: readonly number[]) => {
  /** Put in, in place of one of the same kvno. */
  readonly put: readonly DatabaseVersion[]
  /** Of those present, the ones that stay. */
  readonly keep: readonly number[]
  /** When the KDC is to issue no more tickets for it, in milliseconds since 1970. Default never. */
  readonly expiresMs?: number
}

/**
 * The key rows of a live MIT KDC, changed by `kdb5_util dump` and `load -update`: the only way on stock MIT krb5 1.20 that
 * sets a raw key at a given kvno and keeps the old ones (its kadm5_setkey loses them). Everything secret goes through
 * pipes, encrypted under the realm's master key.
 */
export class KdcDatabase {
  readonly realm: string
  readonly #location: DatabaseLocation
  readonly #stashFile: string
  readonly #onFault: (fault: LockFileFault) => void

  constructor(options: KdcDatabaseOptions) {
    const {
      realm,
      database = '/var/lib/krb5kdc/principal',
      stashFile = '/etc/krb5kdc/stash',
      timeoutMs = 20_000,
    } = options
    parsePrincipal(`K/M@${realm}`)
    requireInteger('timeoutMs', timeoutMs, { min: 100, max: 300_000 })
    this.realm = realm
    this.#location = { realm, database, environment: options.environment, timeoutMs }
    this.#stashFile = stashFile
    this.#onFault = options.onFault ?? (() => {})
  }

  /** Path of the database. */
  get path(): string {
    return this.#location.database
  }

  /** What stands there for the principal; undefined for none. */
  async state(principal: string, options?: { signal?: AbortSignal }): Promise<PrincipalState | undefined> {
    parsePrincipal(principal)
    const record = await this.#run(session => session.read(principal), options)
    return record && stateOf(record)
  }

  /**
   * The principal's keys, the newest first; a row of a type that is not served is left out. The caller owns them.
   * @throws {InvalidArgumentError} there is no such principal
   */
  async keys(principal: string, options?: { signal?: AbortSignal }): Promise<DatabaseVersion[]> {
    parsePrincipal(principal)
    using masterKeys = await MasterKeys.fromStash(this.#stashFile)
    const record = requirePrincipal(await this.#run(session => session.read(principal), options), principal)
    const masterKeyVersion = masterKeyVersionOf(record)
    return kvnosOf(record.keys).map(kvno => ({
      kvno,
      keys: record.keys.filter(row => row.kvno === kvno).map(row => masterKeys.open(row, { masterKeyVersion })),
    }))
  }

  /**
   * Changes which key versions the KDC has for the principal, in one step and under one lock; the KDC sees it at once.
   * @throws {InvalidArgumentError} there is no such principal
   * @throws {StoreError} MIT's programs failed; the database is as it was and usable
   */
  async setVersions(
    principal: string,
    choose: ChooseVersions,
    options?: { signal?: AbortSignal },
  ): Promise<PrincipalState> {
    parsePrincipal(principal)
    using masterKeys = await MasterKeys.fromStash(this.#stashFile)
    return await this.#run(async session => {
      const record = requirePrincipal(await session.read(principal), principal)
      const masterKeyVersion = masterKeyVersionOf(record)
      const { put, keep, expiresMs } = choose(kvnosOf(record.keys))
      const fresh = put.flatMap(({ kvno, keys }) => keys.map(key => masterKeys.seal(key, { kvno, masterKeyVersion })))
      const replaced = new Set(put.map(({ kvno }) => kvno))
      const kept = record.keys.filter(({ kvno }) => keep.includes(kvno) && !replaced.has(kvno))
      // MIT looks for the current key from the top, so the newest must stand there.
      const keys = [...fresh, ...kept].sort((a, b) => b.kvno - a.kvno)
      const expiration = expiresMs === undefined ? 0 : Math.ceil(expiresMs / 1000)
      const changed = { ...record, expiration, keys, tags: [...stamped(record, this.realm)] }
      await session.load([changed])
      return stateOf(changed)
    }, options)
  }

  /** Makes the lock file again if it is missing, and tells; undefined where all is well. */
  async mend(options?: { signal?: AbortSignal }): Promise<LockFileFault | undefined> {
    return await this.#run(async session => session.fault, options)
  }

  async #run<T>(use: (session: DatabaseSession) => Promise<T>, options?: { signal?: AbortSignal }): Promise<T> {
    return await withDatabase(
      this.#location,
      async session => {
        if (session.fault !== undefined) this.#onFault(session.fault)
        return await use(session)
      },
      options,
    )
  }
}

function requirePrincipal(record: DumpRecord | undefined, principal: string): DumpRecord {
  if (record !== undefined) return record
  throw new InvalidArgumentError(`The database has no ${principal}; create it with kadmin.local addprinc -nokey`)
}

function kvnosOf(rows: readonly KeyRow[]): number[] {
  return [...new Set(rows.map(({ kvno }) => kvno))].sort((a, b) => b - a)
}

function stateOf({ principal, attributes, maxLife, maxRenewableLife, keys }: DumpRecord): PrincipalState {
  return { principal, attributes, maxLife, maxRenewableLife, kvnos: kvnosOf(keys) }
}

/** The record's tags with when and by whom it was changed, as `getprinc` shows it. */
function stamped({ tags }: DumpRecord, realm: string): DumpRecord['tags'] {
  const seconds = Buffer.alloc(4)
  seconds.writeUInt32LE(Math.floor(Date.now() / 1000))
  const changed: Record<number, Buffer> = {
    [TL_TYPES.lastPasswordChange]: seconds,
    [TL_TYPES.modified]: Buffer.concat([seconds, Buffer.from(`qkd/agent@${realm}\0`)]),
  }
  const others = tags.filter(({ type }) => changed[type] === undefined)
  return [...Object.entries(changed).map(([type, data]) => ({ type: Number(type), data })), ...others]
}
