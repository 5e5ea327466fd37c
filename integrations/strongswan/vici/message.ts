import { ByteReader, ByteWriter, InvalidArgumentError, ProtocolError } from '../../../lib/index.ts'

/** A value: text, or bytes where they are no text. */
export type ViciLeaf = string | Uint8Array

/** What stands behind a name. */
export type ViciValue = ViciLeaf | readonly ViciLeaf[] | ViciSection

/** A message, or a section of one: names and values in order. Numbers and truth values are text (`"yes"`, `"no"`). */
export interface ViciSection {
  /** What is undefined is left out. */
  readonly [name: string]: ViciValue | undefined
}

const SECTION_START = 1
const SECTION_END = 2
const KEY_VALUE = 3
const LIST_START = 4
const LIST_ITEM = 5
const LIST_END = 6

const MAX_NAME_BYTES = 255
const MAX_VALUE_BYTES = 65_535
/** charon nests four deep; more would only be there to exhaust the stack. */
const MAX_DEPTH = 32

/**
 * What charon takes as a list alone. A single value is refused with an error for most of them, but passed over without a
 * word for `owners`: the key would then fit every identity.
 */
const LISTS: ReadonlySet<string> = new Set([
  'owners',
  'local_addrs',
  'remote_addrs',
  'proposals',
  'esp_proposals',
  'ah_proposals',
  'local_ts',
  'remote_ts',
  'vips',
  'pools',
  'certs',
  'cacerts',
  'groups',
])

/**
 * The message as charon reads it (README.md of its vici plugin). The bytes are the caller's, who wipes them if there is a
 * key among the values; no other copy is left behind.
 * @throws {InvalidArgumentError} a name or value is too long, or a value stands where charon takes a list
 */
export function encodeViciMessage(message: ViciSection): Buffer {
  const writer = new ByteWriter()
  writeSection(writer, message, 0)
  return writer.bytes()
}

function writeSection(writer: ByteWriter, section: ViciSection, depth: number): void {
  if (depth > MAX_DEPTH) throw new InvalidArgumentError(`A VICI message can't be more than ${MAX_DEPTH} levels deep`)
  for (const [name, value] of Object.entries(section)) {
    if (value === undefined) continue
    if (Array.isArray(value)) {
      writeName(writer.u8(LIST_START), name)
      for (const item of value as readonly ViciLeaf[]) writeValue(writer.u8(LIST_ITEM), name, item)
      writer.u8(LIST_END)
    } else if (typeof value === 'string' || value instanceof Uint8Array) {
      if (LISTS.has(name)) throw new InvalidArgumentError(`${name} must be a list: charon passes a single value over`)
      writeName(writer.u8(KEY_VALUE), name)
      writeValue(writer, name, value)
    } else {
      writeName(writer.u8(SECTION_START), name)
      writeSection(writer, value as ViciSection, depth + 1)
      writer.u8(SECTION_END)
    }
  }
}

function writeName(writer: ByteWriter, name: string): void {
  const bytes = Buffer.from(name, 'utf8')
  if (bytes.byteLength === 0 || bytes.byteLength > MAX_NAME_BYTES) {
    throw new InvalidArgumentError(`A VICI name has 1 to ${MAX_NAME_BYTES} bytes, not ${bytes.byteLength}`)
  }
  writer.u8(bytes.byteLength).raw(bytes)
}

function writeValue(writer: ByteWriter, name: string, value: ViciLeaf): void {
  if (typeof value !== 'string' && !(value instanceof Uint8Array)) {
    throw new InvalidArgumentError(`${name} must be text or bytes, not ${typeof value}`)
  }
  const sizeBytes = typeof value === 'string' ? Buffer.byteLength(value) : value.byteLength
  if (sizeBytes > MAX_VALUE_BYTES) {
    throw new InvalidArgumentError(`${name} has ${sizeBytes} bytes; a VICI value has at most ${MAX_VALUE_BYTES}`)
  }
  writer.field(value)
}

/**
 * What charon said. Sections have no prototype; of names that stand twice in one the last counts.
 * @throws {ProtocolError} the bytes are no message
 */
export function decodeViciMessage(bytes: Uint8Array): ViciSection {
  const reader = new ByteReader(bytes)
  return readSection(reader, 0)
}

function readSection(reader: ByteReader, depth: number): ViciSection {
  if (depth > MAX_DEPTH) throw new ProtocolError(`charon's message is more than ${MAX_DEPTH} levels deep`)
  const section: Record<string, ViciValue> = Object.create(null)
  for (;;) {
    if (reader.remaining === 0) {
      if (depth === 0) return section
      throw new ProtocolError("A section of charon's message has no end")
    }
    const element = reader.u8()
    if (element === SECTION_END && depth > 0) return section
    if (element === SECTION_START) section[readName(reader)] = readSection(reader, depth + 1)
    else if (element === KEY_VALUE) section[readName(reader)] = readLeaf(reader)
    else if (element === LIST_START) section[readName(reader)] = readList(reader)
    else throw new ProtocolError(`charon's message has element ${element} where none of the kind may stand`)
  }
}

function readList(reader: ByteReader): ViciLeaf[] {
  const items: ViciLeaf[] = []
  for (let element = reader.u8(); element !== LIST_END; element = reader.u8()) {
    if (element !== LIST_ITEM) throw new ProtocolError(`charon's message has element ${element} in a list`)
    items.push(readLeaf(reader))
  }
  return items
}

function readName(reader: ByteReader): string {
  const name = reader.raw(reader.u8())
  if (name.byteLength === 0) throw new ProtocolError("A name in charon's message is empty")
  return name.toString('utf8')
}

const strictUtf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

function readLeaf(reader: ByteReader): ViciLeaf {
  const bytes = reader.field()
  try {
    return strictUtf8.decode(bytes)
  } catch {
    return Uint8Array.from(bytes)
  }
}
