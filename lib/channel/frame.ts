import { ProtocolError } from '../errors.ts'
import { MAX_MESSAGE_BYTES } from '../interface/message-channel.ts'

/*
 * On the wire each message stands behind its length in four bytes, big-endian. Two lengths that no message has are signs
 * of their own.
 */
const HEADER_BYTES = 4
const ALIVE = 0
const BYE = 0xffff_ffff

/** Tells the other end that this one is still there. */
export const ALIVE_FRAME: Uint8Array = header(ALIVE)
/** The last frame of an orderly close; a connection that ends without it was lost. */
export const BYE_FRAME: Uint8Array = header(BYE)

/** A message as it goes on the wire: a copy, so the caller may wipe its own and the writer this one. */
export function encodeFrame(message: Uint8Array): Buffer {
  const frame = Buffer.allocUnsafeSlow(HEADER_BYTES + message.byteLength)
  frame.writeUInt32BE(message.byteLength)
  frame.set(message, HEADER_BYTES)
  return frame
}

/** Cuts a stream of bytes into messages. */
export class FrameReader {
  readonly #header = Buffer.alloc(HEADER_BYTES)
  #message: Buffer | undefined
  #filled = 0

  /**
   * Reads `chunk` and wipes it: it may hold key material. `onFrame` gets each whole message, or `bye`, in order.
   * @throws {ProtocolError} a length that no message may have
   */
  push(chunk: Uint8Array, onFrame: (frame: Uint8Array | 'bye') => void): void {
    let at = 0
    while (at < chunk.byteLength) {
      const target = this.#message ?? this.#header
      const part = chunk.subarray(at, at + target.byteLength - this.#filled)
      target.set(part, this.#filled)
      this.#filled += part.byteLength
      at += part.byteLength
      if (this.#filled < target.byteLength) continue
      this.#filled = 0
      if (this.#message === undefined) this.#begin(onFrame)
      else {
        onFrame(this.#message)
        this.#message = undefined
      }
    }
    chunk.fill(0)
  }

  /** Nothing more comes: what there is of a message, which may be key material, is wiped. */
  drop(): void {
    this.#message?.fill(0)
    this.#message = undefined
    this.#filled = 0
  }

  #begin(onFrame: (frame: 'bye') => void): void {
    const sizeBytes = this.#header.readUInt32BE()
    if (sizeBytes === BYE) onFrame('bye')
    else if (sizeBytes > MAX_MESSAGE_BYTES) {
      throw new ProtocolError(`A message of ${sizeBytes} bytes is larger than ${MAX_MESSAGE_BYTES}`)
    } else if (sizeBytes !== ALIVE) this.#message = Buffer.allocUnsafeSlow(sizeBytes)
  }
}

function header(value: number): Uint8Array {
  const bytes = Buffer.allocUnsafeSlow(HEADER_BYTES)
  bytes.writeUInt32BE(value)
  return bytes
}
