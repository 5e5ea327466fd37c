import { ProtocolError } from '../../../lib/index.ts'
import { parsePrincipal } from '../principal.ts'

const HEADER = 'kdb5_util load_dump version 7'
/** Size of MIT's structure, which every record repeats. */
const BASE_LENGTH = 38
const MAX_DUMP_CHARS = 16 * 1024 * 1024
const MAX_ITEMS = 65_535

/** Types of tagged data that are looked at (MIT's kdb.h). */
export const TL_TYPES = { lastPasswordChange: 1, modified: 2, masterKeyVersion: 8, stringAttributes: 11 } as const

/** One key of a record as the database has it: encrypted under the master key, and perhaps a salt. */
export interface KeyRow {
  readonly kvno: number
  /** The key, then its salt if it has one: type and content of each. */
  readonly parts: readonly { readonly type: number; readonly data: Uint8Array }[]
}

/** One principal of a KDC database, as `kdb5_util dump` writes it. Times are seconds since 1970, lives in seconds. */
export interface DumpRecord {
  readonly principal: string
  readonly attributes: number
  /** 0 leaves the limit to the realm. */
  readonly maxLife: number
  readonly maxRenewableLife: number
  readonly expiration: number
  readonly passwordExpiration: number
  readonly lastSuccess: number
  readonly lastFailed: number
  readonly failures: number
  readonly tags: readonly { readonly type: number; readonly data: Uint8Array }[]
  /** The newest first: the KDC seals with the first one that fits. */
  readonly keys: readonly KeyRow[]
}

/**
 * The principals of a dump of version 7; policies are passed over.
 * @throws {ProtocolError} it is no such dump, or damaged; says where
 */
export function parseDump(text: string): DumpRecord[] {
  if (text.length > MAX_DUMP_CHARS) throw new ProtocolError(`A dump of ${text.length} characters is too long`)
  const [header, ...lines] = text.split('\n')
  if (header !== HEADER) throw new ProtocolError(`The dump does not begin with "${HEADER}"`)
  return lines.flatMap((line, i) => {
    if (!line.startsWith('princ\t')) return []
    try {
      return [parseRecord(line)]
    } catch (cause) {
      throw new ProtocolError(`Line ${i + 2} of the dump: ${(cause as Error).message}`, { cause })
    }
  })
}

/**
 * A dump with these records, which `kdb5_util load -update` takes. Checked as strictly as it is read, because a record
 * that `kdb5_util` refuses leaves the realm disabled.
 * @throws {ProtocolError} a value is out of range; names it
 */
export function formatDump(records: readonly DumpRecord[]): string {
  const text = `${[HEADER, ...records.map(formatRecord)].join('\n')}\n`
  parseDump(text)
  return text
}

function formatRecord(record: DumpRecord): string {
  const { principal, tags, keys } = record
  const counts = [BASE_LENGTH, principal.length, tags.length, keys.length, 0]
  const times = [record.expiration, record.passwordExpiration, record.lastSuccess, record.lastFailed, record.failures]
  return [
    'princ',
    ...counts,
    principal,
    ...[record.attributes, record.maxLife, record.maxRenewableLife, ...times],
    ...tags.flatMap(item),
    ...keys.flatMap(({ kvno, parts }) => [parts.length, kvno, ...parts.flatMap(item)]),
    '-1;',
  ].join('\t')
}

function item({ type, data }: { type: number; data: Uint8Array }): (string | number)[] {
  return [type, data.byteLength, data.byteLength === 0 ? '-1' : Buffer.from(data).toString('hex')]
}

function parseRecord(line: string): DumpRecord {
  const fields = new Fields(line.split('\t'))
  fields.exactly('princ')
  fields.exactly(String(BASE_LENGTH))
  const nameLength = fields.integer('name length', 0, MAX_ITEMS)
  const tagCount = fields.integer('number of tags', 0, MAX_ITEMS)
  const keyCount = fields.integer('number of keys', 0, MAX_ITEMS)
  const extraLength = fields.integer('extra data', 0, 0)
  const principal = fields.next('principal')
  if (principal.length !== nameLength) throw new ProtocolError('the name has another length than it says')
  const seconds = (name: string) => fields.integer(name, 0, 2 ** 32 - 1)
  const record = {
    principal,
    attributes: seconds('attributes'),
    maxLife: seconds('maximum life'),
    maxRenewableLife: seconds('maximum renewable life'),
    expiration: seconds('expiration'),
    passwordExpiration: seconds('password expiration'),
    lastSuccess: seconds('last success'),
    lastFailed: seconds('last failure'),
    failures: seconds('failures'),
    tags: Array.from({ length: tagCount }, () => fields.item()),
    keys: Array.from({ length: keyCount }, () => fields.key()),
  }
  if (extraLength === 0) fields.exactly('-1;')
  fields.end()
  return record
}

/** The fields of a line, one after the other. */
class Fields {
  readonly #fields: readonly string[]
  #at = 0

  constructor(fields: readonly string[]) {
    this.#fields = fields
  }

  next(name: string): string {
    const field = this.#fields[this.#at]
    if (field === undefined) throw new ProtocolError(`it is cut short at ${name}`)
    this.#at += 1
    return field
  }

  exactly(wanted: string): void {
    const field = this.next(wanted)
    if (field !== wanted) throw new ProtocolError(`"${field.slice(0, 40)}" stands where "${wanted}" belongs`)
  }

  integer(name: string, min: number, max: number): number {
    const field = this.next(name)
    const value = Number(field)
    if (!/^-?\d{1,11}$/.test(field) || value < min || value > max) {
      throw new ProtocolError(`${name} must be an integer from ${min} to ${max}, not ${field.slice(0, 40)}`)
    }
    return value
  }

  item(): { type: number; data: Buffer } {
    // Key types may be negative: those for private use.
    const type = this.integer('type of data', -32_768, 65_535)
    const length = this.integer('length of data', 0, MAX_ITEMS)
    const text = this.next('data')
    const fits = length === 0 ? text === '-1' : text.length === 2 * length && /^[0-9a-f]+$/.test(text)
    if (!fits) throw new ProtocolError(`data of type ${type} is not ${length} bytes in hexadecimal`)
    return { type, data: length === 0 ? Buffer.alloc(0) : Buffer.from(text, 'hex') }
  }

  key(): KeyRow {
    const parts = this.integer('parts of a key', 1, 2)
    // 16 bits in the database: MIT's loader ends in the middle at a larger one, and 0 is no version.
    const kvno = this.integer('kvno', 1, 65_535)
    return { kvno, parts: Array.from({ length: parts }, () => this.item()) }
  }

  end(): void {
    if (this.#at !== this.#fields.length) throw new ProtocolError('something follows the record')
  }
}

/** `record` if its principal is one that this toolkit writes; for records that go back into a database. */
export function requireWritable(record: DumpRecord): DumpRecord {
  parsePrincipal(record.principal)
  const kvnos = record.keys.map(({ kvno, parts }) => `${kvno}/${parts[0]!.type}`)
  if (new Set(kvnos).size !== kvnos.length) throw new ProtocolError(`${record.principal} has a key twice`)
  return record
}
