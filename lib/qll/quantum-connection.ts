import type { Duplex } from 'node:stream'
import { FrameDecoder } from './frame-decoder.ts'
import { encodeFrame, type QuantumFrame } from './quantum-wire.ts'

/** What a connection runs over, and whom it tells. */
export interface QuantumConnectionOptions {
  /** The byte stream; the connection owns it from now on. */
  duplex: Duplex
  /** Largest frame that is taken, in bytes without its length. */
  maxFrameBytes: number
  /** Time between two signs of life, in milliseconds; after three without one from the other end it counts as gone. */
  heartbeatMs: number
  /** Called for each frame but `alive` and `bye`; what it throws closes the connection. Owns a block's secret. */
  onFrame(frame: QuantumFrame): void
  /** Called once, when the connection is of no more use. */
  onClose(reason: string): void
}

/** Beats that may be missed before the other end counts as gone. */
const MAX_MISSED_BEATS = 3
/** How long the other end has to read our goodbye, in milliseconds. */
const GOODBYE_MS = 1000

/** Frames over a byte stream, with signs of life and an orderly end. */
export class QuantumConnection {
  readonly #duplex: Duplex
  readonly #decoder: FrameDecoder
  readonly #options: QuantumConnectionOptions
  readonly #heartbeat: NodeJS.Timeout
  #missedBeats = 0
  #open = true
  /** Resolves when the stream is closed and nothing more happens on it. */
  readonly ended: Promise<void>

  constructor(options: QuantumConnectionOptions) {
    const { duplex, maxFrameBytes, heartbeatMs } = options
    this.#options = options
    this.#duplex = duplex
    this.#decoder = new FrameDecoder(maxFrameBytes)
    this.#heartbeat = setInterval(() => this.#beat(), heartbeatMs).unref()
    this.ended = new Promise(resolve => duplex.once('close', resolve))
    duplex.on('data', (chunk: Buffer) => this.#read(chunk))
    duplex.on('error', error => this.close(error.message, { tell: false }))
    duplex.on('end', () => {
      this.close('The other end is gone', { tell: false })
      duplex.destroy()
    })
    duplex.on('close', () => this.close('The connection is lost', { tell: false }))
  }

  /** Sends a frame; ignored once the connection is closed. What is under way is bounded by the credit of the frames. */
  send(frame: QuantumFrame): void {
    if (!this.#open) return
    const bytes = encodeFrame(frame)
    this.#duplex.write(bytes, () => bytes.fill(0))
  }

  /** Ends the connection, with a last word to the other end unless `tell` is false. Idempotent. */
  close(reason: string, { tell = true } = {}): void {
    if (!this.#open) return
    if (tell) this.send({ type: 'bye', reason })
    this.#open = false
    clearInterval(this.#heartbeat)
    this.#decoder.wipe()
    // Destroyed only when the other end has ended too: a socket destroyed with unread bytes would take the goodbye along.
    const timer = setTimeout(() => this.#duplex.destroy(), GOODBYE_MS).unref()
    this.#duplex.once('close', () => clearTimeout(timer))
    this.#duplex.end()
    this.#options.onClose(reason)
  }

  #read(chunk: Buffer): void {
    if (!this.#open) {
      chunk.fill(0)
      return
    }
    this.#missedBeats = 0
    try {
      this.#decoder.push(chunk, frame => this.#take(frame))
    } catch (error) {
      this.close((error as Error).message)
    }
  }

  #take(frame: QuantumFrame): void {
    if (!this.#open) {
      if (frame.type === 'block') frame.secret.wipe()
    } else if (frame.type === 'bye') this.close(frame.reason, { tell: false })
    else if (frame.type !== 'alive') this.#options.onFrame(frame)
  }

  #beat(): void {
    this.#missedBeats += 1
    if (this.#missedBeats > MAX_MISSED_BEATS) {
      this.close(`No sign of life for ${MAX_MISSED_BEATS * this.#options.heartbeatMs} ms`)
    } else this.send({ type: 'alive' })
  }
}
