import { readFile } from 'node:fs/promises'
import { ConfigError, ProtocolError, SecretKey } from '../../../lib/index.ts'
import { decrypt, encrypt } from '../crypto/encryption.ts'
import type { KerberosKey } from '../enctype.ts'
import { requireKeySize } from '../enctype.ts'
import { readKeytab } from '../keytab.ts'
import { servedEnctype } from '../messages/common-fields.ts'
import { type DumpRecord, type KeyRow, TL_TYPES } from './dump-record.ts'

/** Keys in a database are encrypted for key usage 0, behind their length in 16 bits, low byte first. */
const KDB_USAGE = 0

/** The master keys of a realm, by version, from the stash file that the KDC reads at its start. */
export class MasterKeys implements Disposable {
  readonly #keys: ReadonlyMap<number, KerberosKey>
  readonly #stashFile: string

  private constructor(keys: ReadonlyMap<number, KerberosKey>, stashFile: string) {
    this.#keys = keys
    this.#stashFile = stashFile
  }

  /**
   * Reads the stash file.
   * @throws {ConfigError} it can't be read, is no keytab, or has no key of a type that is served
   */
  static async fromStash(stashFile: string): Promise<MasterKeys> {
    try {
      const file = await readFile(stashFile)
      const keys = new Map<number, KerberosKey>()
      for (const { kvno, enctype, secret } of readKeytab(file)) {
        const key = { enctype: servedEnctype(enctype), secret }
        requireKeySize(key)
        keys.set(kvno, key)
      }
      file.fill(0)
      if (keys.size === 0) throw new ProtocolError('it holds no key')
      return new MasterKeys(keys, stashFile)
    } catch (cause) {
      throw new ConfigError(`stashFile: ${stashFile} gives no master key: ${(cause as Error).message}`, { cause })
    }
  }

  /** The newest version. */
  get newest(): number {
    return Math.max(...this.#keys.keys())
  }

  /** A key as the database of this realm keeps it, under the master key that the rest of the record is under. */
  seal(
    key: KerberosKey,
    { kvno, masterKeyVersion = this.newest }: { kvno: number; masterKeyVersion?: number },
  ): KeyRow {
    requireKeySize(key)
    const data = key.secret.expose('kdb-record', bytes => {
      const plain = encrypt(this.#key(masterKeyVersion), KDB_USAGE, bytes)
      const length = Buffer.allocUnsafe(2)
      length.writeUInt16LE(bytes.byteLength)
      return Buffer.concat([length, plain])
    })
    return { kvno, parts: [{ type: key.enctype, data }] }
  }

  /**
   * The key in a row of the database. The caller owns it.
   * @throws {ProtocolError} the row is not sealed under this master key, or its type is not served
   */
  open({ kvno, parts }: KeyRow, { masterKeyVersion = this.newest }: { masterKeyVersion?: number } = {}): KerberosKey {
    const { type, data } = parts[0]!
    const enctype = servedEnctype(type)
    const row = Buffer.from(data)
    if (row.byteLength < 2) throw new ProtocolError(`The key of kvno ${kvno} is cut short`)
    const plain = decrypt(this.#key(masterKeyVersion), KDB_USAGE, row.subarray(2))
    const secret = SecretKey.copyOf(plain.subarray(0, row.readUInt16LE()))
    plain.fill(0)
    const key = { enctype, secret }
    requireKeySize(key)
    return key
  }

  [Symbol.dispose](): void {
    for (const { secret } of this.#keys.values()) secret.wipe()
  }

  #key(version: number): KerberosKey {
    const key = this.#keys.get(version)
    if (key !== undefined) return key
    throw new ConfigError(
      `stashFile: ${this.#stashFile} has no master key of version ${version}; write it with kdb5_util stash`,
    )
  }
}

/** The version of the master key that a record's keys are under. */
export function masterKeyVersionOf({ tags }: Pick<DumpRecord, 'tags'>): number {
  const tag = tags.find(({ type }) => type === TL_TYPES.masterKeyVersion)
  return tag === undefined || tag.data.byteLength < 2 ? 1 : Buffer.from(tag.data).readUInt16LE()
}
