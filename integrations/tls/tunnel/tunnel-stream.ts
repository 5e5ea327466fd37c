import { Duplex } from 'node:stream'
import type { TLSSocket } from 'node:tls'
import { ClosedError, ProtocolError } from '../../../lib/index.ts'

/** ALPN name of what two ends of our tunnel speak inside TLS. */
export const TUNNEL_PROTOCOL = 'qkd-tunnel/1'

const HEAD_BYTES = 4
/**
 * What may wait in each direction of a connection, at each of the streams that it passes, in bytes: several chunks, so that
 * one end works while the other does.
 */
export const CHUNKS_AHEAD_BYTES = 256 * 1024
/** How long the other end may take to close its connection after all is said, in milliseconds. */
const LINGER_MS = 1_000

type Callback = (error?: Error | null) => void

/**
 * The bytes of one connection through a TLS session, in frames: four bytes of length, then as many of data; a length of 0
 * is the end of that direction. The frames are there for the end alone. node:tls tells a session that was cut, by a peer
 * that was killed or by whoever can forge a FIN, from one that was ended no more than TCP does: both are `end`. Here what
 * has not been ended in so many words was cut, and the stream fails with `ERR_QKD_CLOSED`.
 */
export class TunnelStream extends Duplex {
  readonly #tls: TLSSocket
  readonly #head = Buffer.alloc(HEAD_BYTES)
  #headBytes = 0
  /** Bytes of the frame that are still to come. */
  #left = 0
  #peerEnded = false
  #ended = false

  /** Takes a session over that nobody reads from yet. */
  constructor(tls: TLSSocket) {
    super({ allowHalfOpen: true, highWaterMark: CHUNKS_AHEAD_BYTES })
    this.#tls = tls
    tls.pause()
    tls.on('data', chunk => this.#take(chunk))
    tls.on('error', error => this.destroy(error))
    for (const event of ['end', 'close']) tls.on(event, () => this.#onGone())
  }

  override _read(): void {
    this.#tls.resume()
  }

  override _writev(chunks: readonly { readonly chunk: Buffer }[], callback: Callback): void {
    const length = chunks.reduce((sum, { chunk }) => sum + chunk.length, 0)
    // An empty write says nothing, and a frame without length would say that all is over.
    if (length === 0) callback()
    else this.#send(length, { data: chunks.map(({ chunk }) => chunk), callback })
  }

  override _final(callback: Callback): void {
    this.#ended = true
    this.#send(0, { data: [], callback })
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    const tls = this.#tls
    if (error !== null || !this.#isOver || tls.destroyed) {
      tls.destroy()
      callback(error)
      return
    }
    // Closing over bytes of the other end would reset the connection, and what it has not read of ours would be lost.
    const linger = setTimeout(() => tls.destroy(), LINGER_MS)
    tls.once('close', () => {
      clearTimeout(linger)
      callback()
    })
    tls.end()
    tls.resume()
  }

  get #isOver(): boolean {
    return this.#peerEnded && this.#ended
  }

  #onGone(): void {
    if (!this.#isOver) this.destroy(new ClosedError('The tunnel was cut before the connection had ended'))
  }

  #send(length: number, { data, callback }: { data: readonly Buffer[]; callback: Callback }): void {
    const head = Buffer.alloc(HEAD_BYTES)
    head.writeUInt32BE(length)
    const parts = [head, ...data]
    const last = parts.pop()!
    this.#tls.cork()
    for (const part of parts) this.#tls.write(part)
    this.#tls.write(last, callback)
    this.#tls.uncork()
  }

  #take(chunk: Buffer): void {
    let rest = chunk
    while (rest.length > 0 && !this.destroyed) {
      if (this.#peerEnded) this.destroy(new ProtocolError('The other end of the tunnel sent data after its end'))
      else if (this.#left > 0) rest = this.#takeData(rest)
      else rest = this.#takeHead(rest)
    }
  }

  #takeData(bytes: Buffer): Buffer {
    const data = bytes.subarray(0, this.#left)
    this.#left -= data.length
    if (!this.push(data)) this.#tls.pause()
    return bytes.subarray(data.length)
  }

  #takeHead(bytes: Buffer): Buffer {
    const taken = bytes.copy(this.#head, this.#headBytes)
    this.#headBytes += taken
    if (this.#headBytes === HEAD_BYTES) {
      this.#headBytes = 0
      this.#left = this.#head.readUInt32BE()
      if (this.#left === 0) this.#onPeerEnd()
    }
    return bytes.subarray(taken)
  }

  #onPeerEnd(): void {
    this.#peerEnded = true
    this.push(null)
    // Only a session that is read tells that it was cut.
    this.#tls.resume()
  }
}
