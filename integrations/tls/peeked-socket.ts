import type { Duplex } from 'node:stream'
import { HelloReader } from './hello-reader.ts'
import { HandshakeRefusal, sendRefusal } from './refusal.ts'

const GONE = ['end', 'error', 'close'] as const
const ignore = (): void => {}

/**
 * A raw socket whose first bytes are read ahead. Either it is given back as if nothing had been read, so that node:tls
 * takes its native handle over, or it is refused with a plaintext alert.
 */
export class PeekedSocket {
  readonly raw: Duplex
  readonly #reader = new HelloReader()
  readonly #controller = new AbortController()
  readonly #timer: NodeJS.Timeout
  readonly #onReadable = () => this.#read()
  readonly #onGone = () => this.#fail(new HandshakeRefusal('closed', 'The peer closed the connection'))
  #hello: Buffer | undefined
  #onHello: ((hello: Buffer) => void) | undefined

  /** `deadlineMs` bounds the whole time until it is given back or refused. */
  constructor(raw: Duplex, deadlineMs: number) {
    this.raw = raw
    this.#timer = setTimeout(() => this.#onDeadline(deadlineMs), deadlineMs).unref()
    raw.on('readable', this.#onReadable)
    for (const event of GONE) raw.on(event, this.#onGone)
    if (raw.destroyed) this.#onGone()
  }

  /** Aborted with a `HandshakeRefusal` when the peer has gone, sent too much, or the deadline is over. */
  get signal(): AbortSignal {
    return this.#controller.signal
  }

  /** The ClientHello message, header included. Called once. */
  hello(): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      const { signal } = this
      if (signal.aborted) return reject(signal.reason)
      if (this.#hello !== undefined) return resolve(this.#hello)
      this.#onHello = resolve
      signal.addEventListener('abort', () => reject(signal.reason), { once: true })
    })
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
      for (let chunk = this.raw.read(); chunk !== null && !this.signal.aborted; chunk = this.raw.read()) {
        this.#hello = this.#reader.push(chunk)
        if (this.#hello !== undefined) this.#onHello?.(this.#hello)
      }
    } catch (error) {
      this.#fail(error)
    }
  }

  #onDeadline(deadlineMs: number): void {
    const why = `within ${deadlineMs} ms`
    const late =
      this.#hello === undefined
        ? new HandshakeRefusal('silent', `No ClientHello came ${why}`)
        : new HandshakeRefusal('kms', `The KMS gave no key ${why}`)
    this.#fail(late)
  }

  #fail(reason: unknown): void {
    this.#controller.abort(reason)
  }

  #detach(): void {
    clearTimeout(this.#timer)
    this.raw.off('readable', this.#onReadable)
    for (const event of GONE) this.raw.off(event, this.#onGone)
    // A reset may still come, and without a listener it would end the process. This one keeps none of our buffers alive.
    this.raw.on('error', ignore)
  }
}
