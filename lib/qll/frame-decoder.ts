import { ProtocolError } from '../errors.ts'
import { decodeFrame, LENGTH_BYTES, type QuantumFrame } from './quantum-wire.ts'

/** Cuts a stream of bytes into frames. Holds one frame at most, in a buffer that is wiped after each. */
export class FrameDecoder {
  readonly #maxFrameBytes: number
  readonly #buffer: Buffer
  #filled = 0

  /** `maxFrameBytes` is the largest frame that is taken, without its length. */
  constructor(maxFrameBytes: number) {
    this.#maxFrameBytes = maxFrameBytes
    this.#buffer = Buffer.allocUnsafeSlow(LENGTH_BYTES + maxFrameBytes)
  }

  /**
   * Calls `onFrame` for each frame that `chunk` completes, in order, and wipes `chunk`.
   * @throws {ProtocolError} the stream holds no frame of this format; nothing after it can be read
   */
  push(chunk: Uint8Array, onFrame: (frame: QuantumFrame) => void): void {
    try {
      let at = 0
      while (at < chunk.byteLength) {
        const taken = chunk.subarray(at, at + this.#missingBytes())
        this.#buffer.set(taken, this.#filled)
        this.#filled += taken.byteLength
        at += taken.byteLength
        if (this.#missingBytes() === 0) onFrame(this.#takeFrame())
      }
    } finally {
      chunk.fill(0)
    }
  }

  /** Forgets what was read of a frame that will never be complete. */
  wipe(): void {
    this.#buffer.fill(0, 0, this.#filled)
    this.#filled = 0
  }

  /** Bytes to the end of the length, or of the frame once its length is known. */
  #missingBytes(): number {
    if (this.#filled < LENGTH_BYTES) return LENGTH_BYTES - this.#filled
    const sizeBytes = this.#buffer.readUInt32BE(0)
    if (sizeBytes === 0 || sizeBytes > this.#maxFrameBytes) {
      throw new ProtocolError(`A frame of ${sizeBytes} bytes is not from 1 to ${this.#maxFrameBytes}`)
    }
    return LENGTH_BYTES + sizeBytes - this.#filled
  }

  #takeFrame(): QuantumFrame {
    try {
      return decodeFrame(this.#buffer.subarray(LENGTH_BYTES, this.#filled))
    } finally {
      this.wipe()
    }
  }
}
