import type { Duplex } from 'node:stream'
import { HelloReader } from './hello-reader.ts'
import { HandshakeRefusal, sendRefusal, toRefusal } from './refusal.ts'

const GONE = ['end', 'error', 'close'] as const
const ignore = (): void => {}

/** Who waits for the ClientHello of a peeked socket. */
export interface PeekedSocketOptions {
  /** Bounds the whole time until the socket is given back, taken over or refused, in milliseconds. */
  readonly deadlineMs: number
  /** Called once with the ClientHello message, header included. */
  readonly onHello: (hello: Buffer) => void
  /** Called once, before the hello or after it: the peer has gone or sent too much, or the deadline is over. */
  readonly onFailure: (refusal: HandshakeRefusal) => void
}

/**
 * A raw socket whose first bytes are read ahead. Either it is given back as if nothing had been read, so that node:tls
 * takes its native handle over, or it is refused with a plaintext alert. It calls back and promises nothing: it stands on
 * the path of every connection, and garbage there costs more than the work.
 */
export class PeekedSocket {
  readonly raw: Duplex
  readonly #options: PeekedSocketOptions
  readonly #reader = new HelloReader()
  readonly #timer: NodeJS.Timeout
  readonly #onReadable = () => this.#read()
  readonly #onGone = () => this.#fail(new HandshakeRefusal('closed', 'The peer closed the connection'))
  #hasHello = false
  #over = false
  #failure: HandshakeRefusal | undefined

  constructor(raw: Duplex, options: PeekedSocketOptions) {
    this.raw = raw
    this.#options = options
    this.#timer = setTimeout(() => this.#onDeadline(), options.deadlineMs).unref()
    raw.on('readable', this.#onReadable)
    for (const event of GONE) raw.on(event, this.#onGone)
    if (raw.destroyed) process.nextTick(this.#onGone)
  }

  /** Why the connection is lost; undefined while it is not. */
  get failure(): HandshakeRefusal | undefined {
    return this.#failure
  }

  /** Puts everything read back into the socket; the caller hands it on in the same turn. */
  giveBack(): void {
    this.raw.unshift(this.takeOver())
  }

  /** Everything read, to a caller who reads on from here in the same turn. */
  takeOver(): Buffer {
    this.#detach()
    return this.#reader.received
  }

  /** Answers with the refusal's alert, if it has one, and closes. */
  refuse(refusal: HandshakeRefusal): void {
    this.#detach()
    sendRefusal(this.raw, refusal)
  }

  #read(): void {
    // Read on after the hello as well: only a socket that is read tells that its peer has gone.
    try {
      for (let chunk = this.raw.read(); chunk !== null && !this.#over; chunk = this.raw.read()) {
        const hello = this.#reader.push(chunk)
        if (hello === undefined || this.#hasHello) continue
        this.#hasHello = true
        this.#options.onHello(hello)
      }
    } catch (error) {
      this.#fail(toRefusal(error))
    }
  }

  #onDeadline(): void {
    const why = `within ${this.#options.deadlineMs} ms`
    const late = this.#hasHello
      ? new HandshakeRefusal('kms', `The KMS gave no key ${why}`)
      : new HandshakeRefusal('silent', `No ClientHello came ${why}`)
    this.#fail(late)
  }

  #fail(refusal: HandshakeRefusal): void {
    if (this.#over) return
    this.#over = true
    this.#failure = refusal
    this.#options.onFailure(refusal)
  }

  #detach(): void {
    this.#over = true
    clearTimeout(this.#timer)
    this.raw.off('readable', this.#onReadable)
    for (const event of GONE) this.raw.off(event, this.#onGone)
    // A reset may still come, and without a listener it would end the process. This one keeps none of our buffers alive.
    this.raw.on('error', ignore)
  }
}
