import { ProtocolError } from '../errors.ts'

const FIRST_BYTES = 256

/**
 * Writes fields one after the other, big-endian, into one buffer that grows. What it outgrows is wiped, so that a secret
 * among the fields is in no other place than the result.
 */
export class ByteWriter {
  #buffer = Buffer.allocUnsafeSlow(FIRST_BYTES)
  #sizeBytes = 0

  u8(value: number): this {
    const at = this.#grow(1)
    this.#buffer.writeUInt8(value, at)
    return this
  }

  u16(value: number): this {
    const at = this.#grow(2)
    this.#buffer.writeUInt16BE(value, at)
    return this
  }

  u32(value: number): this {
    const at = this.#grow(4)
    this.#buffer.writeUInt32BE(value, at)
    return this
  }

  u64(value: bigint): this {
    const at = this.#grow(8)
    this.#buffer.writeBigUInt64BE(value, at)
    return this
  }

  /** Bytes as they are; the reader must know the length. */
  raw(bytes: Uint8Array): this {
    const at = this.#grow(bytes.byteLength)
    this.#buffer.set(bytes, at)
    return this
  }

  /** Bytes, or text as UTF-8, behind a 16-bit length. */
  field(value: Uint8Array | string): this {
    const bytes = typeof value === 'string' ? Buffer.from(value, 'utf8') : value
    if (bytes.byteLength > 0xffff) throw new ProtocolError(`A field of ${bytes.byteLength} bytes is longer than 65,535`)
    return this.u16(bytes.byteLength).raw(bytes)
  }

  /** All fields; the writer is spent. */
  bytes(): Buffer {
    return this.#buffer.subarray(0, this.#sizeBytes)
  }

  /** Makes room, perhaps in another buffer, and gives the place of what comes next. */
  #grow(sizeBytes: number): number {
    const at = this.#sizeBytes
    this.#sizeBytes += sizeBytes
    if (this.#sizeBytes > this.#buffer.byteLength) {
      const larger = Buffer.allocUnsafeSlow(Math.max(this.#sizeBytes, 2 * this.#buffer.byteLength))
      larger.set(this.#buffer.subarray(0, at))
      this.#buffer.fill(0)
      this.#buffer = larger
    }
    return at
  }
}

/** Reads what a `ByteWriter` wrote; every read past the end is a `ProtocolError`. */
export class ByteReader {
  readonly #bytes: Buffer
  #at = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  }

  get remaining(): number {
    return this.#bytes.byteLength - this.#at
  }

  u8(): number {
    return this.#bytes.readUInt8(this.#advance(1))
  }

  u16(): number {
    return this.#bytes.readUInt16BE(this.#advance(2))
  }

  u32(): number {
    return this.#bytes.readUInt32BE(this.#advance(4))
  }

  u64(): bigint {
    return this.#bytes.readBigUInt64BE(this.#advance(8))
  }

  /** A view, not a copy. */
  raw(sizeBytes: number): Buffer {
    const at = this.#advance(sizeBytes)
    return this.#bytes.subarray(at, at + sizeBytes)
  }

  /** A view of a field behind a 16-bit length. */
  field(): Buffer {
    return this.raw(this.u16())
  }

  text(): string {
    return this.field().toString('utf8')
  }

  /** Throws unless everything was read. */
  end(): void {
    if (this.remaining !== 0) throw new ProtocolError(`${this.remaining} bytes too many in the message`)
  }

  #advance(sizeBytes: number): number {
    if (sizeBytes > this.remaining) throw new ProtocolError('The message is cut short')
    const at = this.#at
    this.#at += sizeBytes
    return at
  }
}
