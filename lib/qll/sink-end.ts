import type { Duplex } from 'node:stream'
import { ProtocolError } from '../errors.ts'
import type { BackOff } from '../util/back-off.ts'
import type { EndState } from './end-state.ts'
import { identityMismatch } from './identity-mismatch.ts'
import { QuantumConnection } from './quantum-connection.ts'
import { maxFrameBytes, type QuantumFrame } from './quantum-wire.ts'

/** How long the other end may take to answer our hello, in milliseconds. */
const WELCOME_MS = 5000

/** Opens a byte stream to the listening end. */
export type Dial = (options: { signal: AbortSignal }) => Promise<Duplex>

/** What the connecting end is made from. */
export interface SinkEndOptions {
  state: EndState
  dial: Dial
  backOff: BackOff
  /** Rate that this end expects, in bits per second; 0 takes what the other end has. */
  rateBps: number
}

/** The connecting end, which receives what the other end draws. It connects again, with back-off, until it is closed. */
export class SinkEnd {
  readonly #state: EndState
  readonly #dial: Dial
  readonly #backOff: BackOff
  readonly #rateBps: number
  readonly #closing = new AbortController()
  readonly #running: Promise<void>
  #connection: QuantumConnection | undefined
  #welcomed = false
  #nominalBps = 0
  /** Blocks that the other end may still send. */
  #credit = 0
  #lastNumber = 0n
  #interruption: string | undefined
  #wake: () => void = () => {}

  constructor({ state, dial, backOff, rateBps }: SinkEndOptions) {
    this.#state = state
    this.#dial = dial
    this.#backOff = backOff
    this.#rateBps = rateBps
    this.#running = this.#run()
  }

  /** A block was taken here: the other end may send another. */
  makeRoom(): void {
    if (!this.#welcomed) return
    const blocks = this.#state.roomBlocks - this.#credit
    if (blocks <= 0) return
    this.#credit += blocks
    this.#connection?.send({ type: 'credit', blocks })
  }

  startAbove(floor: bigint): void {
    if (!this.#welcomed) return
    this.#connection?.send({ type: 'floor', number: floor })
    this.makeRoom()
  }

  interrupt(reason: string): void {
    this.#interruption = reason
    this.#connection?.close(reason)
    this.#state.down(reason)
  }

  restore(): void {
    this.#interruption = undefined
    this.#backOff.reset()
    this.#wake()
  }

  async close(): Promise<void> {
    this.#closing.abort()
    this.#connection?.close('The other end was closed')
    this.#wake()
    await this.#running
  }

  async #run(): Promise<void> {
    const { signal } = this.#closing
    while (!signal.aborted) {
      const reason = await this.#connectOnce().catch((error: Error) => error.message)
      if (signal.aborted) return
      this.#state.down(this.#interruption ?? reason)
      await this.#pause(this.#backOff.nextMs())
      while (this.#interruption !== undefined && !signal.aborted) await this.#pause(undefined)
    }
  }

  /** Holds one connection until it ends, and tells why it did. */
  async #connectOnce(): Promise<string> {
    const { signal } = this.#closing
    const duplex = await this.#dial({ signal })
    let timer: NodeJS.Timeout | undefined
    let lostBecause = ''
    const connection = new QuantumConnection({
      duplex,
      maxFrameBytes: maxFrameBytes(this.#state.options.blockSizeBytes),
      heartbeatMs: this.#state.options.heartbeatMs,
      onFrame: frame => {
        this.#take(frame)
        if (this.#welcomed) clearTimeout(timer)
      },
      onClose: reason => {
        clearTimeout(timer)
        lostBecause = reason
        this.#welcomed = false
        this.#credit = 0
        this.#connection = undefined
        this.#state.down(this.#interruption ?? reason)
      },
    })
    this.#connection = connection
    timer = setTimeout(() => connection.close(`No answer to the hello within ${WELCOME_MS} ms`), WELCOME_MS).unref()
    const refusal = signal.aborted ? 'The other end was closed' : this.#interruption
    if (refusal !== undefined) connection.close(refusal)
    else {
      const identity = this.#state.identity(this.#rateBps)
      connection.send({ type: 'hello', ...identity, lastNumber: this.#lastNumber, floor: this.#state.floor })
    }
    await connection.ended
    return lostBecause
  }

  #take(frame: QuantumFrame): void {
    if (frame.type === 'block') this.#receive(frame)
    else if (frame.type === 'welcome' && !this.#welcomed) this.#begin(frame)
    else if (frame.type === 'rate' && this.#welcomed) this.#state.up(frame.rateBps, this.#nominalBps)
    else throw new ProtocolError(`A frame of type ${frame.type} is out of place`)
  }

  #begin(welcome: Extract<QuantumFrame, { type: 'welcome' }>): void {
    const mismatch = identityMismatch(this.#state.identity(this.#rateBps), welcome)
    if (mismatch !== undefined) throw new ProtocolError(mismatch)
    this.#welcomed = true
    this.#nominalBps = welcome.rateBps
    this.#backOff.reset()
    this.#state.up(welcome.rateBps, welcome.rateBps)
    this.makeRoom()
  }

  #receive({ number, secret }: Extract<QuantumFrame, { type: 'block' }>): void {
    const fault = this.#faultOf(number, secret.sizeBytes)
    if (fault !== undefined) {
      secret.wipe()
      throw new ProtocolError(fault)
    }
    this.#credit -= 1
    this.#lastNumber = number
    this.#state.offer({ number, secret })
    this.#connection?.send({ type: 'received', number })
    // A block that found a taker, or was below the floor, has left room.
    this.makeRoom()
  }

  #faultOf(number: bigint, sizeBytes: number): string | undefined {
    if (this.#credit === 0) return 'The other end sent more blocks than it had credit for'
    if (number <= this.#lastNumber) return `Block ${number} is not above ${this.#lastNumber}, the last one`
    const { blockSizeBytes } = this.#state.options
    return sizeBytes === blockSizeBytes ? undefined : `A block of ${sizeBytes} bytes, not ${blockSizeBytes}`
  }

  /** Waits for `ms`, or for `#wake` alone. The timer is not unref()ed, as a socket under way would not be. */
  async #pause(ms: number | undefined): Promise<void> {
    let timer: NodeJS.Timeout | undefined
    await new Promise<void>(resolve => {
      this.#wake = resolve
      if (ms !== undefined) timer = setTimeout(resolve, ms)
    })
    clearTimeout(timer)
  }
}
