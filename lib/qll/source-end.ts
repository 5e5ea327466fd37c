import type { Duplex } from 'node:stream'
import { ProtocolError } from '../errors.ts'
import type { LinkBlock } from '../interface/link.ts'
import { SecretKey } from '../key/secret-key.ts'
import type { BlockNumbers } from '../util/block-numbers.ts'
import type { EndState } from './end-state.ts'
import { identityMismatch } from './identity-mismatch.ts'
import { QuantumConnection } from './quantum-connection.ts'
import { MAX_CONTROL_BYTES, type QuantumFrame } from './quantum-wire.ts'
import { RateBucket } from './rate-bucket.ts'

/** Shortest pause between two looks at the rate, in milliseconds: fast links make several blocks at each. */
const TICK_MS = 10
const MAX_TIMER_MS = 2 ** 31 - 1
/** How long a new connection may take to say which link it is of, in milliseconds. */
const HELLO_MS = 5000
/** Connections that may be at that point. */
const MAX_GREETINGS = 8

/**
 * The listening end, at which the bytes are drawn. It generates while the other end gives credit and its own buffer has
 * room, and offers a block here only when the other end has it.
 */
export class SourceEnd {
  readonly #state: EndState
  readonly #numbers: BlockNumbers
  readonly #nominalBps: number
  readonly #bucket: RateBucket
  readonly #greetings = new Map<QuantumConnection, NodeJS.Timeout>()
  #connection: QuantumConnection | undefined
  /** Blocks that were sent and not yet acknowledged, in order; at most a buffer full. */
  #pending: LinkBlock[] = []
  #credit = 0
  #timer: NodeJS.Timeout | undefined
  #interruption: string | undefined

  constructor({ state, numbers, rateBps }: { state: EndState; numbers: BlockNumbers; rateBps: number }) {
    this.#state = state
    this.#numbers = numbers
    this.#nominalBps = rateBps
    const blockSizeBits = state.options.blockSizeBytes * 8
    this.#bucket = new RateBucket({ rateBps, blockSizeBits, nowMs: performance.now() })
  }

  /** A connection that the other end, or somebody else, opened. */
  accept(duplex: Duplex): void {
    if (this.#state.closed || this.#greetings.size >= MAX_GREETINGS) {
      duplex.on('error', () => {}).destroy()
      return
    }
    const connection: QuantumConnection = new QuantumConnection({
      duplex,
      maxFrameBytes: MAX_CONTROL_BYTES,
      heartbeatMs: this.#state.options.heartbeatMs,
      onFrame: frame => this.#take(connection, frame),
      onClose: reason => this.#lose(connection, reason),
    })
    const timer = setTimeout(() => connection.close(`No hello within ${HELLO_MS} ms`), HELLO_MS).unref()
    this.#greetings.set(connection, timer)
  }

  /** A block was taken here, or at the other end. */
  makeRoom(): void {
    if (this.#timer === undefined) this.#generate()
  }

  startAbove(floor: bigint): void {
    this.#numbers.startAbove(floor)
    this.makeRoom()
  }

  setRate(rateBps: number): void {
    this.#bucket.setRate(rateBps, performance.now())
    if (this.#connection === undefined) return
    this.#connection.send({ type: 'rate', rateBps })
    this.#state.up(rateBps, this.#nominalBps)
    this.#generate()
  }

  interrupt(reason: string): void {
    this.#interruption = reason
    this.#connection?.close(reason)
    this.#state.down(reason)
  }

  restore(): void {
    this.#interruption = undefined
  }

  async close(): Promise<void> {
    const connections = [...this.#greetings.keys(), ...(this.#connection === undefined ? [] : [this.#connection])]
    for (const connection of connections) connection.close('The other end was closed')
    for (const { secret } of this.#pending.splice(0)) secret.wipe()
    await Promise.all(connections.map(connection => connection.ended))
  }

  #take(connection: QuantumConnection, frame: QuantumFrame): void {
    const served = connection === this.#connection
    if (frame.type === 'hello' && !served) this.#greet(connection, frame)
    else if (frame.type === 'credit' && served) {
      this.#credit += frame.blocks
      this.makeRoom()
    } else if (frame.type === 'received' && served) this.#acknowledge(frame.number)
    else if (frame.type === 'floor' && served) this.#numbers.startAbove(frame.number)
    else {
      if (frame.type === 'block') frame.secret.wipe()
      throw new ProtocolError(`A frame of type ${frame.type} is out of place`)
    }
  }

  #greet(connection: QuantumConnection, hello: Extract<QuantumFrame, { type: 'hello' }>): void {
    const own = this.#state.identity(this.#nominalBps)
    const refusal = this.#interruption ?? identityMismatch(own, hello) ?? this.#occupied()
    if (refusal !== undefined) {
      connection.close(refusal)
      return
    }
    clearTimeout(this.#greetings.get(connection))
    this.#greetings.delete(connection)
    this.#connection = connection
    this.#settle(hello.lastNumber)
    this.#numbers.startAbove(hello.floor)
    connection.send({ type: 'welcome', ...own })
    if (this.#bucket.rateBps !== this.#nominalBps) connection.send({ type: 'rate', rateBps: this.#bucket.rateBps })
    this.#state.up(this.#bucket.rateBps, this.#nominalBps)
  }

  /** A living connection keeps its place; a dead one loses it when its signs of life are missed. */
  #occupied(): string | undefined {
    return this.#connection === undefined ? undefined : 'Another connection serves this link'
  }

  /** What was under way when the last connection broke is kept if the other end has it, and wiped if not. */
  #settle(lastNumber: bigint): void {
    // A number above all of this process is of another one's blocks, and acknowledges none of these.
    const known = lastNumber <= this.#numbers.last
    for (const block of this.#pending.splice(0)) {
      if (known && block.number <= lastNumber) this.#state.offer(block)
      else block.secret.wipe()
    }
    this.#numbers.startAbove(lastNumber)
  }

  #acknowledge(number: bigint): void {
    const block = this.#pending[0]
    if (block?.number !== number) throw new ProtocolError(`A receipt for block ${number}, which is not the next one`)
    this.#pending.shift()
    this.#state.offer(block)
    // A block that found a taker, or was below the floor, has left room.
    this.makeRoom()
  }

  #generate(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    const connection = this.#connection
    if (connection === undefined) return
    const { blockSizeBytes } = this.#state.options
    while (this.#wanted && this.#bucket.take(performance.now())) {
      const block = { number: this.#numbers.next(), secret: SecretKey.random(blockSizeBytes) }
      this.#credit -= 1
      this.#pending.push(block)
      connection.send({ type: 'block', ...block })
    }
    if (!this.#wanted || this.#bucket.rateBps === 0) return
    const waitMs = Math.max(TICK_MS, this.#bucket.waitMs(performance.now()))
    // Not unref()ed: like an open socket, a link that is at work keeps its process alive until it is closed.
    this.#timer = setTimeout(() => this.#generate(), Math.min(waitMs, MAX_TIMER_MS))
  }

  get #wanted(): boolean {
    return this.#credit > 0 && this.#state.roomBlocks > this.#pending.length
  }

  #lose(connection: QuantumConnection, reason: string): void {
    clearTimeout(this.#greetings.get(connection))
    this.#greetings.delete(connection)
    if (this.#connection !== undefined && this.#connection !== connection) return
    this.#connection = undefined
    this.#credit = 0
    clearTimeout(this.#timer)
    this.#timer = undefined
    this.#state.down(this.#interruption ?? reason)
  }
}
