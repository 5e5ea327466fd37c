import { ProtocolError } from '../../../lib/index.ts'

/** Tags of the universal types that Kerberos uses (X.690, section 8). */
export const TAGS = {
  integer: 0x02,
  bits: 0x03,
  octets: 0x04,
  oid: 0x06,
  sequence: 0x30,
  text: 0x1b,
  time: 0x18,
} as const

const CONTEXT = 0xa0
const APPLICATION = 0x60
/** Messages nest less deep than this. */
const MAX_DEPTH = 16

/** One element: tag, length and content one after the other. */
export function der(tag: number, ...content: readonly Uint8Array[]): Buffer {
  const sizeBytes = content.reduce((sum, part) => sum + part.byteLength, 0)
  const head = [tag]
  if (sizeBytes < 0x80) head.push(sizeBytes)
  else {
    const size: number[] = []
    for (let rest = sizeBytes; rest > 0; rest = Math.floor(rest / 256)) size.unshift(rest % 256)
    head.push(0x80 | size.length, ...size)
  }
  return Buffer.concat([Buffer.from(head), ...content])
}

/** The elements of a message, written; a field that is undefined is left out. */
export const derWrite = {
  sequence: (...fields: readonly (Uint8Array | undefined)[]) => der(TAGS.sequence, ...present(fields)),
  /** Field `number` of a sequence. */
  field: (number: number, content: Uint8Array | undefined) =>
    content === undefined ? undefined : der(CONTEXT + number, content),
  application: (number: number, content: Uint8Array) => der(APPLICATION + number, content),
  integer: (value: number) => der(TAGS.integer, integerBytes(value)),
  octets: (value: Uint8Array) => der(TAGS.octets, value),
  text: (value: string) => der(TAGS.text, Buffer.from(value, 'utf8')),
  /** A moment in milliseconds since 1970; Kerberos has whole seconds. */
  time: (atMs: number) =>
    der(TAGS.time, Buffer.from(`${new Date(atMs).toISOString().slice(0, 19).replace(/[-:T]/g, '')}Z`, 'latin1')),
  /** 32 flags, the first one highest. */
  flags: (value: number) => {
    const bytes = Buffer.alloc(5)
    bytes.writeUInt32BE(value >>> 0, 1)
    return der(TAGS.bits, bytes)
  },
} as const

function present(fields: readonly (Uint8Array | undefined)[]): Uint8Array[] {
  return fields.filter(field => field !== undefined)
}

function integerBytes(value: number): Buffer {
  const bytes = Buffer.alloc(8)
  bytes.writeBigInt64BE(BigInt(value))
  let at = 0
  while (at < 7 && ((bytes[at] === 0 && bytes[at + 1]! < 0x80) || (bytes[at] === 0xff && bytes[at + 1]! >= 0x80)))
    at += 1
  return bytes.subarray(at)
}

/** Reads the elements that stand one after the other in `bytes`; everything unexpected is a `ProtocolError`. */
export class DerReader {
  readonly #bytes: Buffer
  readonly #depth: number
  #at = 0

  constructor(bytes: Uint8Array, depth = 0) {
    if (depth > MAX_DEPTH) throw malformed('it nests too deep')
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    this.#depth = depth
  }

  /** The tag that comes next; undefined at the end. */
  get next(): number | undefined {
    return this.#bytes[this.#at]
  }

  /** What has not been read yet. */
  get rest(): Buffer {
    return this.#bytes.subarray(this.#at)
  }

  /** The content of the next element, which must have this tag. A view. */
  content(tag: number): Buffer {
    if (this.next !== tag) throw malformed(`tag ${hex(tag)} was expected, not ${hex(this.next)}`)
    let at = this.#at + 1
    const first = this.#bytes[at]
    if (first === undefined) throw malformed('it is cut short')
    at += 1
    let size = first
    if (first >= 0x80) {
      const count = first & 0x7f
      if (count === 0 || count > 4 || at + count > this.#bytes.byteLength) throw malformed('a length is none')
      size = this.#bytes.readUIntBE(at, count)
      // DER has one spelling of each length.
      if (size < 0x80 || size < 256 ** (count - 1)) throw malformed('a length is longer than it need be')
      at += count
    }
    if (size > this.#bytes.byteLength - at) throw malformed('it is cut short')
    this.#at = at + size
    return this.#bytes.subarray(at, this.#at)
  }

  /** A reader of the next element's content. */
  inside(tag: number): DerReader {
    return new DerReader(this.content(tag), this.#depth + 1)
  }

  sequence(): DerReader {
    return this.inside(TAGS.sequence)
  }

  application(number: number): DerReader {
    return this.inside(APPLICATION + number)
  }

  /** Field `number` of a sequence, which must be there. */
  field<T>(number: number, read: (inner: DerReader) => T): T {
    const inner = this.inside(CONTEXT + number)
    const value = read(inner)
    inner.end()
    return value
  }

  /** Field `number` of a sequence if it comes next. */
  optional<T>(number: number, read: (inner: DerReader) => T): T | undefined {
    return this.next === CONTEXT + number ? this.field(number, read) : undefined
  }

  /** The elements up to the end, at most `max`. */
  list<T>(max: number, read: (inner: DerReader) => T): T[] {
    const values: T[] = []
    while (this.next !== undefined) {
      if (values.length === max) throw malformed(`a list has more than ${max} elements`)
      values.push(read(this))
    }
    return values
  }

  /** An integer that a double holds exactly. */
  integer(): number {
    const content = this.content(TAGS.integer)
    if (content.byteLength === 0 || content.byteLength > 6) throw malformed('an integer is out of range')
    return content.readIntBE(0, content.byteLength)
  }

  octets(): Buffer {
    return this.content(TAGS.octets)
  }

  text(): string {
    return this.content(TAGS.text).toString('utf8')
  }

  /** In milliseconds since 1970. */
  time(): number {
    const text = this.content(TAGS.time).toString('latin1')
    const match = /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/.exec(text)
    const [, year, month, day, hour, minute, second] = match ?? []
    const atMs = Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`)
    if (Number.isNaN(atMs)) throw malformed('a time is none')
    return atMs
  }

  /** The first 32 flags, the first one highest. */
  flags(): number {
    const content = this.content(TAGS.bits)
    if (content.byteLength < 5 || content[0] !== 0) throw malformed('there are fewer than 32 flags')
    return content.readUInt32BE(1)
  }

  /** Throws unless everything was read. */
  end(): void {
    if (this.next !== undefined) throw malformed('something follows that has no place there')
  }

  /** Passes over what is left: fields that are not of interest. */
  skipRest(): void {
    this.#at = this.#bytes.byteLength
  }
}

function malformed(why: string): ProtocolError {
  return new ProtocolError(`A Kerberos message is malformed: ${why}`)
}

function hex(tag: number | undefined): string {
  return tag === undefined ? 'the end' : `0x${tag.toString(16).padStart(2, '0')}`
}
