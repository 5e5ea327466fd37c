import { ProtocolError } from '../errors.ts'

/** Writes fields one after the other, big-endian. Not for key bytes in bulk: its parts are joined once, in `bytes()`. */
export class ByteWriter {
  readonly #parts: Uint8Array[] = []
  #sizeBytes = 0

  u8(value: number): this {
    return this.#push(1, view => view.setUint8(0, value))
  }

  u16(value: number): this {
    return this.#push(2, view => view.setUint16(0, value))
  }

  u32(value: number): this {
    return this.#push(4, view => view.setUint32(0, value))
  }

  u64(value: bigint): this {
    return this.#push(8, view => view.setBigUint64(0, value))
  }

  /** Bytes as they are; the reader must know the length. */
  raw(bytes: Uint8Array): this {
    this.#parts.push(bytes)
    this.#sizeBytes += bytes.byteLength
    return this
  }

  /** Bytes, or text as UTF-8, behind a 16-bit length. */
  field(value: Uint8Array | string): this {
    const bytes = typeof value === 'string' ? Buffer.from(value, 'utf8') : value
    if (bytes.byteLength > 0xffff) throw new ProtocolError(`A field of ${bytes.byteLength} bytes is longer than 65,535`)
    return this.u16(bytes.byteLength).raw(bytes)
  }

  /** All fields in one fresh buffer. */
  bytes(): Buffer {
    const out = Buffer.allocUnsafeSlow(this.#sizeBytes)
    let at = 0
    for (const part of this.#parts) {
      out.set(part, at)
      at += part.byteLength
    }
    return out
  }

  #push(sizeBytes: number, fill: (view: DataView) => void): this {
    const part = new Uint8Array(sizeBytes)
    fill(new DataView(part.buffer))
    return this.raw(part)
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
