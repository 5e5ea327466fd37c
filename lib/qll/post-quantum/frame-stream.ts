import type { Duplex } from 'node:stream'
import { ClosedError, ProtocolError } from '../../errors.ts'
import type { AbortOptions } from '../../interface/lifecycle.ts'
import { AsyncQueue } from '../../util/async-queue.ts'

const LENGTH_BYTES = 4
/** Largest frame, in bytes without its length. */
export const MAX_FRAME_BYTES = 65_536
/** Frames that may wait to be taken before the stream is paused. */
const MAX_WAITING = 4

/** Frames behind their 32-bit length over a stream of bytes: asked for one by one first, handed over as they come later. */
export class FrameStream {
  readonly duplex: Duplex
  readonly #queue = new AsyncQueue<Buffer>()
  #rest: Buffer = Buffer.alloc(0)
  #onFrame: ((frame: Buffer) => void) | undefined

  /** Takes the stream over. */
  constructor(duplex: Duplex) {
    this.duplex = duplex
    duplex.on('data', (chunk: Buffer) => this.#read(chunk))
    duplex.on('error', error => this.#queue.end(error))
    duplex.on('end', () => this.#queue.end(new ClosedError('The other end is gone')))
    duplex.on('close', () => this.#queue.end(new ClosedError('The connection is lost')))
  }

  /** @throws {ClosedError} the stream ended */
  async next(options: AbortOptions): Promise<Buffer> {
    const frame = await this.#queue.take(options)
    if (this.#queue.size < MAX_WAITING) this.duplex.resume()
    return frame!
  }

  /** Hands every frame over from now on, in order, those that wait first. */
  forward(onFrame: (frame: Buffer) => void): void {
    this.#onFrame = onFrame
    for (const frame of this.#queue.drain()) onFrame(frame)
    this.duplex.resume()
  }

  write(frame: Uint8Array, callback?: (error?: Error | null) => void): void {
    const length = Buffer.alloc(LENGTH_BYTES)
    length.writeUInt32BE(frame.byteLength)
    this.duplex.write(Buffer.concat([length, frame]), callback)
  }

  #read(chunk: Buffer): void {
    this.#rest = this.#rest.byteLength === 0 ? chunk : Buffer.concat([this.#rest, chunk])
    while (this.#rest.byteLength >= LENGTH_BYTES) {
      const sizeBytes = this.#rest.readUInt32BE(0)
      if (sizeBytes > MAX_FRAME_BYTES) {
        this.duplex.destroy(new ProtocolError(`A frame of ${sizeBytes} bytes is longer than ${MAX_FRAME_BYTES}`))
        return
      }
      if (this.#rest.byteLength < LENGTH_BYTES + sizeBytes) return
      const frame = this.#rest.subarray(LENGTH_BYTES, LENGTH_BYTES + sizeBytes)
      this.#rest = this.#rest.subarray(LENGTH_BYTES + sizeBytes)
      if (this.#onFrame !== undefined) this.#onFrame(frame)
      else {
        this.#queue.push(frame)
        if (this.#queue.size >= MAX_WAITING) this.duplex.pause()
      }
    }
  }
}
