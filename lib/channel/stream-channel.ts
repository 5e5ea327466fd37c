import type { Duplex } from 'node:stream'
import { ClosedError } from '../errors.ts'
import type { AbortOptions } from '../interface/lifecycle.ts'
import type { MessageChannel } from '../interface/message-channel.ts'
import { abortable, withDeadline } from '../util/deadline.ts'
import { ALIVE_FRAME, BYE_FRAME, encodeFrame, FrameReader } from './frame.ts'
import { Inbox } from './inbox.ts'
import { Outbox } from './outbox.ts'

/** How long `close()` waits for the other end, in milliseconds. */
const CLOSE_TIMEOUT_MS = 2_000
/** So many heartbeats of the other end in a row must be missing before the stream counts as lost. */
const MISSING_HEARTBEATS = 3

/** What a `StreamChannel` runs over, and who is believed to be at the other end. */
export interface StreamChannelOptions {
  /** The name of the other end, for errors. Nothing here proves it: whoever talks over the channel must. */
  readonly peerId: string
  /** Time between two signs of life, in milliseconds, the same at both ends. */
  readonly heartbeatMs: number
}

/**
 * Whole messages over any stream of bytes, such as a TCP connection: neither encrypted nor authenticated, for talk that
 * brings its own proof, as the two ends of a QKD link do. Who is silent for three heartbeats is gone.
 */
export class StreamChannel implements MessageChannel {
  readonly peerId: string
  /** Resolves, with the reason, when the channel is of no more use. */
  readonly lost: Promise<Error>
  readonly #duplex: Duplex
  readonly #reader = new FrameReader()
  readonly #inbox = new Inbox(() => this.#resume())
  readonly #outbox: Outbox
  readonly #heartbeat: NodeJS.Timeout
  readonly #gone: Promise<void>
  #tellLost: (reason: Error) => void = () => {}
  #missing = 0
  #ended = false
  #closing: Promise<void> | undefined

  /** Takes the stream over. */
  constructor(duplex: Duplex, { peerId, heartbeatMs }: StreamChannelOptions) {
    this.peerId = peerId
    this.#duplex = duplex
    this.#outbox = new Outbox({
      write: message => this.#write(message),
      hasRoom: () => !duplex.writableNeedDrain,
    })
    this.lost = new Promise(resolve => {
      this.#tellLost = resolve
    })
    this.#heartbeat = setInterval(() => this.#beat(), heartbeatMs).unref()
    duplex.on('data', (chunk: Buffer) => this.#read(chunk))
    duplex.on('drain', () => this.#outbox.wake())
    duplex.on('error', error => this.#lose(error))
    duplex.on('end', () => this.#lose())
    this.#gone = new Promise(resolve => {
      duplex.once('close', () => {
        this.#lose()
        this.#reader.drop()
        clearInterval(this.#heartbeat)
        resolve()
      })
    })
  }

  send(message: Uint8Array, options?: AbortOptions): Promise<void> {
    return this.#outbox.send(message, options)
  }

  receive(options?: AbortOptions): Promise<Uint8Array | undefined> {
    return this.#inbox.take(options)
  }

  close(options: AbortOptions = {}): Promise<void> {
    this.#closing ??= this.#end(options)
    return this.#closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #end({ signal }: AbortOptions): Promise<void> {
    this.#inbox.close()
    // From now on what arrives is dropped; it must be read, or the end of the stream is never seen.
    this.#duplex.resume()
    const deadline = withDeadline(signal, CLOSE_TIMEOUT_MS)
    try {
      await this.#outbox.close({ signal: deadline })
      if (this.#duplex.writable) this.#duplex.end(BYE_FRAME)
      await abortable(this.#gone, { signal: deadline })
    } catch {
      this.#duplex.destroy()
    }
    this.#outbox.fail(new ClosedError('The channel is closed'))
    await this.#gone
  }

  #write(message: Uint8Array): void {
    const frame = encodeFrame(message)
    this.#duplex.write(frame, () => frame.fill(0))
  }

  #read(chunk: Buffer): void {
    this.#missing = 0
    try {
      this.#reader.push(chunk, frame => {
        if (frame === 'bye') this.#ended = true
        else this.#inbox.push(frame)
      })
    } catch (error) {
      this.#lose(error as Error)
    }
    if (this.#ended) this.#lose()
    else if (this.#inbox.full && this.#closing === undefined) this.#duplex.pause()
  }

  #resume(): void {
    this.#missing = 0
    this.#duplex.resume()
  }

  #beat(): void {
    if (this.#duplex.writable && !this.#duplex.writableNeedDrain) this.#duplex.write(ALIVE_FRAME)
    if (this.#duplex.isPaused()) return
    this.#missing += 1
    if (this.#missing > MISSING_HEARTBEATS) this.#lose(new Error('nothing was heard from it'))
  }

  #lose(cause?: Error): void {
    const because = cause === undefined ? '' : `: ${cause.message}`
    const error = this.#ended
      ? new ClosedError(`${this.peerId} has closed the channel`)
      : new ClosedError(`The channel to ${this.peerId} was lost${because}`, { cause })
    this.#inbox.end(this.#ended ? undefined : error)
    this.#outbox.fail(error)
    this.#tellLost(error)
    // What the other end said last may still be taken; after its goodbye the stream has nothing to bring.
    if (this.#closing === undefined) this.#duplex.destroy()
  }
}
