import { Duplex } from 'node:stream'
import { ProtocolError } from '../../errors.ts'
import type { Kem } from '../../key/post-quantum.ts'
import { RECORD_TAG_BYTES, type RecordCipher } from '../../key/record-cipher.ts'
import { type FrameStream, MAX_FRAME_BYTES } from './frame-stream.ts'
import { KeyRenewal, RECORD, type StreamRole } from './key-renewal.ts'

/** Each record has its type in front. */
const TYPE_BYTES = 1
const MAX_PLAIN_BYTES = MAX_FRAME_BYTES - RECORD_TAG_BYTES - TYPE_BYTES
/** Age at which a key is renewed, in milliseconds: ten minutes. */
const RENEW_MS = 600_000

/** What a `SealedDuplex` is made from. */
export interface SealedDuplexOptions {
  readonly role: StreamRole
  /** The ciphers of both directions; taken over. */
  readonly outgoing: RecordCipher
  readonly incoming: RecordCipher
  /** For fresh secrets while the stream lives. */
  readonly kem: Kem
  /** How old a key may become before it is renewed, in milliseconds. Default ten minutes. */
  readonly renewMs?: number
  /** Milliseconds of a clock that never steps. Default `performance.now`. */
  readonly now?: () => number
}

/** A stream of bytes sealed record by record; a record that does not open ends it with an error. */
export class SealedDuplex extends Duplex {
  readonly #frames: FrameStream
  readonly #outgoing: RecordCipher
  readonly #incoming: RecordCipher
  readonly #renewal: KeyRenewal

  constructor(frames: FrameStream, options: SealedDuplexOptions) {
    super()
    const { renewMs = RENEW_MS, now = () => performance.now() } = options
    this.#frames = frames
    this.#outgoing = options.outgoing
    this.#incoming = options.incoming
    this.#renewal = new KeyRenewal({ ...options, renewMs, now, send: (type, body) => this.#send(type, body) })
    const { duplex } = frames
    duplex.on('error', error => this.destroy(error))
    duplex.on('end', () => this.push(null))
    duplex.on('close', () => this.destroy())
    frames.forward(frame => this.#take(frame))
  }

  /** How often both ends have renewed their keys. */
  get renewals(): number {
    return this.#renewal.count
  }

  override _read(): void {
    this.#frames.duplex.resume()
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, callback: (error?: Error | null) => void): void {
    for (let at = 0; at < chunk.byteLength; at += MAX_PLAIN_BYTES) {
      const last = at + MAX_PLAIN_BYTES >= chunk.byteLength
      this.#send(RECORD.data, chunk.subarray(at, at + MAX_PLAIN_BYTES), last ? callback : undefined)
    }
    this.#renewal.check()
  }

  override _final(callback: (error?: Error | null) => void): void {
    this.#frames.duplex.end(callback)
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    this.#outgoing.wipe()
    this.#incoming.wipe()
    this.#renewal.wipe()
    this.#frames.duplex.destroy()
    callback(error)
  }

  #send(type: number, body: Uint8Array, callback?: (error?: Error | null) => void): void {
    const plain = Buffer.allocUnsafeSlow(TYPE_BYTES + body.byteLength)
    plain[0] = type
    plain.set(body, TYPE_BYTES)
    this.#frames.write(this.#outgoing.seal(plain), callback)
    plain.fill(0)
  }

  #take(frame: Buffer): void {
    // What is still under way to an end that has gone has nobody to go to.
    if (this.destroyed || this.readableEnded) return
    try {
      const plain = this.#incoming.open(frame)
      const type = plain[0]
      if (type === undefined) throw new ProtocolError('An empty record')
      if (type !== RECORD.data) this.#renewal.take(type, plain.subarray(TYPE_BYTES))
      // Whoever reads from here wipes what it gets.
      else if (!this.push(plain.subarray(TYPE_BYTES))) this.#frames.duplex.pause()
    } catch (error) {
      this.destroy(error as Error)
    }
  }
}
