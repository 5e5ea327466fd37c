import type { TLSSocket } from 'node:tls'
import { ClosedError } from '../errors.ts'
import type { AbortOptions } from '../interface/lifecycle.ts'
import type { MessageChannel } from '../interface/message-channel.ts'
import { abortable, withDeadline } from '../util/deadline.ts'
import { isPostQuantumGroup } from '../util/tls-groups.ts'
import { ALIVE_FRAME, BYE_FRAME, encodeFrame, FrameReader } from './frame.ts'
import { decodeHello, encodeHello } from './hello.ts'
import { Inbox } from './inbox.ts'
import { Outbox } from './outbox.ts'

/** How long `close()` waits for the other end, in milliseconds. */
const CLOSE_TIMEOUT_MS = 2_000
/** So many heartbeats of the other end in a row must be missing before the connection counts as lost. */
const MISSING_HEARTBEATS = 3

/** A message channel over mutual TLS 1.3 that can tell how its keys were agreed. */
export interface TlsChannel extends MessageChannel {
  /** Key exchange group of the handshake as the dialling end saw it; undefined where it couldn't. */
  readonly group: string | undefined
  /** True where that group has ML-KEM, so that a recording is of no use to a quantum computer. */
  readonly postQuantum: boolean
}

/** Frames over one authenticated TLS connection. A lost connection makes `receive()` reject; an orderly end gives undefined. */
export class SocketChannel implements TlsChannel {
  readonly peerId: string
  readonly #socket: TLSSocket
  readonly #heartbeatMs: number
  readonly #reader = new FrameReader()
  readonly #inbox = new Inbox(() => this.#resume())
  readonly #outbox = new Outbox({
    write: message => this.#write(message),
    hasRoom: () => !this.#socket.writableNeedDrain,
  })
  readonly #timers: NodeJS.Timeout[] = []
  readonly #gone: Promise<void>
  #group: string | undefined
  #missing = 0
  #ended = false
  #closing: Promise<void> | undefined

  /** Takes over a socket whose handshake is done and whose peer is known to be `peerId`. */
  constructor(socket: TLSSocket, { peerId, heartbeatMs }: { peerId: string; heartbeatMs: number }) {
    this.peerId = peerId
    this.#socket = socket
    this.#heartbeatMs = heartbeatMs
    socket.setNoDelay(true)
    socket.setKeepAlive(true, heartbeatMs)
    socket.on('data', chunk => this.#read(chunk))
    socket.on('drain', () => this.#outbox.wake())
    socket.on('error', error => this.#lose(error))
    socket.on('end', () => this.#lose())
    this.#gone = new Promise(resolve => {
      socket.once('close', () => {
        this.#lose()
        this.#reader.drop()
        for (const timer of this.#timers) clearInterval(timer)
        resolve()
      })
    })
  }

  get group(): string | undefined {
    return this.#group
  }

  get postQuantum(): boolean {
    return isPostQuantumGroup(this.#group)
  }

  /** Exchanges the first messages; before that ends nothing else may be sent or received. */
  async greet({ group, signal }: { group: string | undefined; signal: AbortSignal }): Promise<void> {
    await this.send(encodeHello({ heartbeatMs: this.#heartbeatMs, group }), { signal })
    const answer = await this.receive({ signal })
    if (answer === undefined) throw new ClosedError(`${this.peerId} closed the connection without a hello`)
    const hello = decodeHello(answer)
    this.#group = group ?? hello.group
    this.#every(this.#heartbeatMs, () => {
      if (!this.#socket.writableNeedDrain && this.#socket.writable) this.#socket.write(ALIVE_FRAME)
    })
    this.#every(hello.heartbeatMs, () => this.#listen())
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

  /** Drops the connection at once. */
  abort(reason: Error): void {
    this.#lose(reason)
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #end({ signal }: AbortOptions): Promise<void> {
    this.#inbox.close()
    // From now on what arrives is dropped; it must be read, or the end of the connection is never seen.
    this.#socket.resume()
    const deadline = withDeadline(signal, CLOSE_TIMEOUT_MS)
    try {
      await this.#outbox.close({ signal: deadline })
      if (this.#socket.writable) this.#socket.end(BYE_FRAME)
      await abortable(this.#gone, { signal: deadline })
    } catch {
      this.#socket.destroy()
    }
    this.#outbox.fail(new ClosedError('The channel is closed'))
    await this.#gone
  }

  #write(message: Uint8Array): void {
    const frame = encodeFrame(message)
    this.#socket.write(frame, () => frame.fill(0))
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
    if (this.#ended) this.#inbox.end()
    else if (this.#inbox.full && this.#closing === undefined) this.#socket.pause()
  }

  #resume(): void {
    this.#missing = 0
    this.#socket.resume()
  }

  /** Each time without a sign of the other end counts; one long pause of this process counts once. */
  #listen(): void {
    if (this.#socket.isPaused()) return
    this.#missing += 1
    if (this.#missing > MISSING_HEARTBEATS) this.#lose(new Error('nothing was heard from it'))
  }

  #lose(cause?: Error): void {
    const error = this.#ended
      ? new ClosedError(`${this.peerId} has closed the channel`)
      : new ClosedError(`The channel to ${this.peerId} was lost${cause === undefined ? '' : `: ${cause.message}`}`, {
          cause,
        })
    this.#inbox.end(this.#ended ? undefined : error)
    this.#outbox.fail(error)
    if (!this.#ended || cause !== undefined) this.#socket.destroy()
  }

  #every(intervalMs: number, run: () => void): void {
    this.#timers.push(setInterval(run, intervalMs).unref())
  }
}
