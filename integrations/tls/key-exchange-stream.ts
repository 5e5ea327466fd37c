import { Duplex } from 'node:stream'
import { CLIENT_KEY_EXCHANGE, HelloReader } from './hello-reader.ts'
import { HandshakeRefusal, sendRefusal, toRefusal } from './refusal.ts'

const HANDSHAKE_RECORD = 22
const HANDSHAKE_HEADER_BYTES = 4

type Callback = (error?: Error | null) => void

/** Options of `KeyExchangeStream`. */
export interface KeyExchangeStreamOptions {
  /** What was read of the socket already: the ClientHello. */
  readonly received: Buffer
  /** Called once with the identity that the client names; what it sent goes on when this resolves, and never if it rejects. */
  readonly onIdentity: (identity: Buffer) => Promise<void>
}

/**
 * A TLS 1.2 connection on its way to node:tls: the client names its key only in its second flight, in the ClientKeyExchange
 * (RFC 4279, section 2), and OpenSSL asks for it at once. So that flight waits here until the key is at hand. Whatever comes
 * after it is passed on as it is, chunk for chunk.
 */
export class KeyExchangeStream extends Duplex {
  readonly #raw: Duplex
  readonly #onIdentity: KeyExchangeStreamOptions['onIdentity']
  /** Undefined once nothing is held back any more. */
  #reader: HelloReader | undefined = new HelloReader(CLIENT_KEY_EXCHANGE)
  #asked = false
  #ended = false

  constructor(raw: Duplex, { received, onIdentity }: KeyExchangeStreamOptions) {
    super({ allowHalfOpen: true })
    this.#raw = raw
    this.#onIdentity = onIdentity
    // When the peer has ended its half, ours is still TLS's to end: it may have much to write.
    raw.allowHalfOpen = true
    this.push(received)
    raw.on('data', chunk => this.#take(chunk))
    raw.on('end', () => this.#onEnd())
    raw.on('error', error => this.destroy(error))
    // What was read to its end may still be waiting here for its reader.
    raw.on('close', () => this.#ended || this.destroy())
  }

  /** Turns the peer away; node:tls hears of it as the stream's error. */
  refuse(refusal: HandshakeRefusal): void {
    sendRefusal(this.#raw, refusal)
    this.destroy(refusal)
  }

  override _read(): void {
    this.#raw.resume()
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, callback: Callback): void {
    this.#raw.write(chunk, callback)
  }

  override _writev(chunks: readonly { readonly chunk: Buffer }[], callback: Callback): void {
    const raw = this.#raw
    raw.cork()
    for (const { chunk } of chunks.slice(0, -1)) raw.write(chunk)
    raw.write(chunks[chunks.length - 1]!.chunk, callback)
    raw.uncork()
  }

  override _final(callback: Callback): void {
    this.#raw.end(callback)
  }

  override _destroy(error: Error | null, callback: Callback): void {
    // One that was refused is still to read its alert.
    if (!(error instanceof HandshakeRefusal)) this.#raw.destroy()
    callback(error)
  }

  #take(chunk: Buffer): void {
    if (this.#reader === undefined) {
      if (!this.push(chunk)) this.#raw.pause()
    } else {
      this.#hold(this.#reader, chunk)
    }
  }

  #hold(reader: HelloReader, chunk: Buffer): void {
    if (this.destroyed) return
    // An alert, or what resumes a session: OpenSSL answers it, without a key.
    if (reader.received.byteLength === 0 && chunk[0] !== HANDSHAKE_RECORD) {
      this.#reader = undefined
      this.push(chunk)
      return
    }
    try {
      const message = reader.push(chunk)
      if (message === undefined || this.#asked) return
      this.#asked = true
      this.#onIdentity(identityOf(message)).then(
        () => this.#passOn(),
        error => this.refuse(error),
      )
    } catch (error) {
      this.refuse(toRefusal(error))
    }
  }

  #passOn(): void {
    const held = this.#reader?.received
    this.#reader = undefined
    if (held !== undefined && !this.destroyed) this.push(held)
  }

  #onEnd(): void {
    this.#ended = true
    if (this.#reader === undefined) this.push(null)
    else this.refuse(new HandshakeRefusal('closed', 'The peer closed the connection'))
  }
}

/** The identity at the front of a ClientKeyExchange of any PSK suite (RFC 4279, section 2; RFC 5489, section 2). */
function identityOf(message: Buffer): Buffer {
  const body = message.subarray(HANDSHAKE_HEADER_BYTES)
  const end = body.byteLength < 2 ? Number.POSITIVE_INFINITY : 2 + body.readUInt16BE(0)
  if (end > body.byteLength) throw new HandshakeRefusal('malformed', 'The ClientKeyExchange is cut short')
  return body.subarray(2, end)
}
