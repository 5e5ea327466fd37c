import { Duplex } from 'node:stream'

/**
 * One end of a byte stream within the process. Unlike node:stream's `duplexPair` it copies what is written, so that the
 * writer may wipe its buffer as soon as the write is done, as with a socket.
 */
class MemoryDuplex extends Duplex {
  #peer: MemoryDuplex | undefined
  /** The other end's write that waits until this end reads on. */
  #resumeWriter: (() => void) | undefined

  /** Joins two ends, once. */
  static join(a: MemoryDuplex, b: MemoryDuplex): void {
    a.#peer = b
    b.#peer = a
  }

  override _read(): void {
    const resume = this.#resumeWriter
    this.#resumeWriter = undefined
    resume?.()
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, callback: (error?: Error | null) => void): void {
    const peer = this.#peer
    if (peer === undefined || peer.destroyed) {
      callback(new Error('The other end is gone'))
      return
    }
    const copy = Buffer.allocUnsafeSlow(chunk.byteLength)
    copy.set(chunk)
    if (peer.push(copy)) callback()
    else peer.#resumeWriter = callback
  }

  override _final(callback: (error?: Error | null) => void): void {
    this.#peer?.push(null)
    callback()
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    const peer = this.#peer
    this.#peer = undefined
    this._read()
    // As with a socket: the other end sees the end, or that it was reset.
    if (peer !== undefined && !peer.destroyed && !peer.readableEnded) peer.push(null)
    callback(error)
  }
}

/** Two joined ends: what one writes the other reads. */
export function createMemoryDuplexPair(): [Duplex, Duplex] {
  const [a, b] = [new MemoryDuplex(), new MemoryDuplex()]
  MemoryDuplex.join(a, b)
  return [a, b]
}
