import { ClosedError } from '../errors.ts'
import type { NextBlockOptions, QnlBlock } from '../interface/qnl.ts'
import { AsyncQueue } from '../util/async-queue.ts'

/** How a desk reaches the QNL. */
export interface DeskPort {
  /** Asks for the next block above `after`; gives the call's id, or undefined where it can't be sent now. */
  ask(after: bigint): number | undefined
  cancel(id: number): void
}

/**
 * Where those who wait for blocks of one pair stand in line, at the client. Calls to the QNL and takers are not tied to
 * each other: there are as many calls as takers, and whatever block comes goes to the first in line. So a block that was
 * on its way when its taker gave up is the next one's, and none is lost or out of order.
 */
export class BlockDesk {
  readonly #port: DeskPort
  readonly #line = new AsyncQueue<{ block: QnlBlock } | { error: Error }>()
  /** Calls without an answer, and whether they were cancelled. */
  readonly #calls = new Map<number, { cancelled: boolean }>()
  #floor = 0n

  constructor(port: DeskPort) {
    this.#port = port
  }

  /** Takers that wait. */
  get waiting(): number {
    return this.#line.waiting
  }

  /** Nobody waits, nothing is kept and nothing is under way. */
  get idle(): boolean {
    return this.#line.waiting === 0 && this.#line.size === 0 && this.#calls.size === 0
  }

  /** The next block above `after`, or what `settle()` or `close()` refuses it with. */
  async take({ signal, after = 0n }: NextBlockOptions): Promise<QnlBlock> {
    this.#raiseFloor(after)
    const taken = this.#line.take({ signal })
    this.balance()
    try {
      const item = await taken
      if (item === undefined) throw new ClosedError()
      if ('error' in item) throw item.error
      // What is taken is spent, so that a taker that says so each time costs nothing.
      if (item.block.number > this.#floor) this.#floor = item.block.number
      return item.block
    } finally {
      this.balance()
    }
  }

  /** Hands a block to the first in line, or keeps it for the next one. False if none of this desk's calls has that id. */
  deliver(id: number, block: QnlBlock): boolean {
    if (!this.#calls.delete(id)) return false
    this.#offer(block)
    this.balance()
    return true
  }

  /** The call brought nothing; with an error, the first in line gets that. */
  settle(id: number, error?: Error): void {
    const call = this.#calls.get(id)
    this.#calls.delete(id)
    if (error !== undefined && call?.cancelled === false && this.#line.waiting > 0) this.#line.push({ error })
    this.balance()
  }

  /** Asks for as many blocks as there are takers. */
  balance(): void {
    const open = [...this.#calls].filter(([, call]) => !call.cancelled)
    for (let asked = open.length; asked < this.#line.waiting; asked += 1) {
      const id = this.#port.ask(this.#floor)
      if (id === undefined) return
      this.#calls.set(id, { cancelled: false })
    }
    for (const [id, call] of open.slice(this.#line.waiting)) {
      call.cancelled = true
      this.#port.cancel(id)
    }
  }

  /** The connection is lost, and all calls with it; those in line stay. */
  disconnect(): void {
    this.#calls.clear()
  }

  /** Refuses all in line, and wipes what nobody took. */
  close(error: Error): void {
    for (const item of this.#line.drain()) if ('block' in item) item.block.secret.wipe()
    this.#line.end(error)
    this.#calls.clear()
  }

  #raiseFloor(after: bigint): void {
    if (after <= this.#floor) return
    this.#floor = after
    // While blocks wait nobody waits for one, so putting them back keeps the order.
    for (const item of this.#line.drain()) if ('block' in item) this.#offer(item.block)
  }

  #offer(block: QnlBlock): void {
    if (block.number <= this.#floor || !this.#line.push({ block })) block.secret.wipe()
  }
}
