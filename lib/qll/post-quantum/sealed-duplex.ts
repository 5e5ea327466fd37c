import { Duplex } from 'node:stream'
import { RECORD_TAG_BYTES, type RecordCipher } from '../../key/record-cipher.ts'
import { type FrameStream, MAX_FRAME_BYTES } from './frame-stream.ts'

const MAX_PLAIN_BYTES = MAX_FRAME_BYTES - RECORD_TAG_BYTES

/** The ciphers of both directions; a `SealedDuplex` takes them over. */
export interface DuplexCiphers {
  readonly outgoing: RecordCipher
  readonly incoming: RecordCipher
}

/** A stream of bytes sealed record by record; a record that does not open ends it with an error. */
export class SealedDuplex extends Duplex {
  readonly #frames: FrameStream
  readonly #ciphers: DuplexCiphers

  constructor(frames: FrameStream, ciphers: DuplexCiphers) {
    super()
    this.#frames = frames
    this.#ciphers = ciphers
    const { duplex } = frames
    duplex.on('error', error => this.destroy(error))
    duplex.on('end', () => this.push(null))
    duplex.on('close', () => this.destroy())
    frames.forward(frame => this.#take(frame))
  }

  override _read(): void {
    this.#frames.duplex.resume()
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, callback: (error?: Error | null) => void): void {
    for (let at = 0; at < chunk.byteLength; at += MAX_PLAIN_BYTES) {
      const sealed = this.#ciphers.outgoing.seal(chunk.subarray(at, at + MAX_PLAIN_BYTES))
      const last = at + MAX_PLAIN_BYTES >= chunk.byteLength
      this.#frames.write(sealed, last ? callback : undefined)
    }
  }

  override _final(callback: (error?: Error | null) => void): void {
    this.#frames.duplex.end(callback)
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    this.#ciphers.outgoing.wipe()
    this.#ciphers.incoming.wipe()
    this.#frames.duplex.destroy()
    callback(error)
  }

  #take(frame: Buffer): void {
    if (this.destroyed) return
    try {
      // Whoever reads from here wipes what it gets.
      if (!this.push(this.#ciphers.incoming.open(frame))) this.#frames.duplex.pause()
    } catch (error) {
      this.destroy(error as Error)
    }
  }
}
