import { InvalidArgumentError, ProtocolError, SecretKey } from '../../lib/index.ts'
import { formatPrincipal, nameType, type PrincipalName, parsePrincipal } from './principal.ts'

const VERSION = 0x0502
/** Far more than any real keytab, in bytes and entries. */
const MAX_FILE_BYTES = 4 * 1024 * 1024
const MAX_ENTRIES = 20_000
const MAX_COMPONENTS = 16

/** One key of a keytab. Encryption types that are not served here are kept as they are. */
export interface KeytabEntry {
  readonly principal: string
  /** RFC 4120, section 6.2. Default what MIT writes: 1, for ticket-granting services 2. */
  readonly nameType?: number
  /** When it was written, in seconds since 1970. */
  readonly timestamp: number
  readonly kvno: number
  readonly enctype: number
  /** The keytab's reader owns what it read; the writer only lends. */
  readonly secret: SecretKey
}

/**
 * The entries of a keytab of version 0x0502, in the order of the file; deleted ones are passed over.
 * @throws {ProtocolError} it is none, or damaged
 */
export function readKeytab(file: Uint8Array): KeytabEntry[] {
  const bytes = Buffer.from(file.buffer, file.byteOffset, file.byteLength)
  if (bytes.byteLength > MAX_FILE_BYTES) throw damaged(`${bytes.byteLength} bytes are too many`)
  if (bytes.byteLength < 2 || bytes.readUInt16BE(0) !== VERSION) throw damaged('it does not begin with 05 02')
  const entries: KeytabEntry[] = []
  try {
    for (let at = 2; at < bytes.byteLength; ) {
      if (bytes.byteLength - at < 4) throw damaged('it is cut short')
      const size = bytes.readInt32BE(at)
      at += 4
      // MIT leaves zeros behind the last entry, and the negative size of a hole where one was deleted.
      if (size === 0) break
      const end = at + Math.abs(size)
      if (end > bytes.byteLength) throw damaged('it is cut short')
      if (size > 0) entries.push(readEntry(bytes.subarray(at, end)))
      if (entries.length > MAX_ENTRIES) throw damaged(`it has more than ${MAX_ENTRIES} entries`)
      at = end
    }
  } catch (error) {
    for (const { secret } of entries) secret.wipe()
    throw error
  }
  return entries
}

/**
 * A keytab of version 0x0502, byte for byte as MIT's kadmin writes it. The bytes hold keys: the caller writes them to a
 * file of mode 0600 and wipes them.
 */
export function writeKeytab(entries: readonly KeytabEntry[]): Buffer {
  if (entries.length > MAX_ENTRIES) throw new InvalidArgumentError(`A keytab has at most ${MAX_ENTRIES} entries`)
  const shapes = entries.map(entry => ({ entry, head: entryHead(entry), sizeBytes: entry.secret.sizeBytes }))
  const total = shapes.reduce((sum, { head, sizeBytes }) => sum + 4 + head.byteLength + sizeBytes + 4, 2)
  const file = Buffer.allocUnsafeSlow(total)
  let at = file.writeUInt16BE(VERSION)
  for (const { entry, head, sizeBytes } of shapes) {
    at = file.writeInt32BE(head.byteLength + sizeBytes + 4, at)
    at += head.copy(file, at)
    const keyAt = at
    entry.secret.expose('keytab-file', bytes => file.set(bytes, keyAt))
    at = file.writeUInt32BE(entry.kvno, at + sizeBytes)
  }
  return file
}

/** Everything of an entry up to its key's bytes. */
function entryHead({ principal, timestamp, kvno, enctype, secret, ...entry }: KeytabEntry): Buffer {
  const name: PrincipalName = parsePrincipal(principal)
  const texts = [name.realm, ...name.components].map(text => Buffer.from(text, 'utf8'))
  const head = Buffer.alloc(2 + texts.reduce((sum, text) => sum + 2 + text.byteLength, 0) + 4 + 4 + 1 + 2 + 2)
  let at = head.writeUInt16BE(name.components.length)
  for (const text of texts) {
    at = head.writeUInt16BE(text.byteLength, at)
    at += text.copy(head, at)
  }
  at = head.writeUInt32BE(entry.nameType ?? nameType(name), at)
  at = head.writeUInt32BE(timestamp, at)
  // The old field has 8 bits; the whole number follows the key.
  at = head.writeUInt8(kvno & 0xff, at)
  at = head.writeUInt16BE(enctype, at)
  head.writeUInt16BE(secret.sizeBytes, at)
  return head
}

function readEntry(entry: Buffer): KeytabEntry {
  let at = 0
  const take = (sizeBytes: number) => {
    if (sizeBytes > entry.byteLength - at) throw damaged('an entry is cut short')
    at += sizeBytes
    return entry.subarray(at - sizeBytes, at)
  }
  const counted = () => take(take(2).readUInt16BE())
  const count = take(2).readUInt16BE()
  if (count === 0 || count > MAX_COMPONENTS) throw damaged(`a principal has ${count} components`)
  const realm = counted().toString('utf8')
  const components = Array.from({ length: count }, () => counted().toString('utf8'))
  const type = take(4).readUInt32BE()
  const timestamp = take(4).readUInt32BE()
  const shortKvno = take(1).readUInt8()
  const enctype = take(2).readUInt16BE()
  const key = counted()
  if (key.byteLength === 0) throw damaged('an entry has no key')
  const longKvno = entry.byteLength - at >= 4 ? take(4).readUInt32BE() : 0
  const kvno = longKvno === 0 ? shortKvno : longKvno
  const principal = formatPrincipal({ components, realm })
  return { principal, nameType: type, timestamp, kvno, enctype, secret: SecretKey.copyOf(key) }
}

function damaged(why: string): ProtocolError {
  return new ProtocolError(`This is no keytab that can be read: ${why}`)
}
