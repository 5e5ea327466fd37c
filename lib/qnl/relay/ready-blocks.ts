import { InvalidArgumentError } from '../../errors.ts'
import type { NextBlockOptions, QnlBlock } from '../../interface/qnl.ts'
import { AsyncQueue } from '../../util/async-queue.ts'

const MAX_NUMBER = 2n ** 63n - 1n

/** The blocks of one pair that are whole at both ends and wait for the KMS, in ascending order. */
export class ReadyBlocks {
  readonly #queue = new AsyncQueue<QnlBlock>()
  readonly #onTake: () => void
  #floor = 0n
  #last = 0n

  /** `onTake` is called when somebody waits, or a block has gone. */
  constructor(onTake: () => void) {
    this.#onTake = onTake
  }

  get size(): number {
    return this.#queue.size
  }

  get waiting(): number {
    return this.#queue.waiting
  }

  /** Numbers at or below it are of no use to the taker. */
  get floor(): bigint {
    return this.#floor
  }

  /** @throws {InvalidArgumentError} `after` is no block number */
  async take({ signal, after = 0n }: NextBlockOptions): Promise<QnlBlock> {
    if (after < 0n || after > MAX_NUMBER) throw new InvalidArgumentError(`after must be from 0 to ${MAX_NUMBER}`)
    if (after > this.#floor) {
      this.#floor = after
      for (const block of this.#queue.drain()) this.#offer(block)
    }
    const taken = this.#queue.take({ signal })
    this.#onTake()
    const block = await taken
    // What is taken is spent, so that a taker that says so each time costs nothing.
    if (block!.number > this.#floor) this.#floor = block!.number
    return block!
  }

  /** Adds a block; one that comes too late for the order is wiped, and false is the answer. */
  push(block: QnlBlock): boolean {
    if (block.number <= this.#last) {
      block.secret.wipe()
      return false
    }
    this.#last = block.number
    return this.#offer(block)
  }

  /** Refuses who waits and wipes what nobody took. */
  close(error: Error): void {
    for (const { secret } of this.#queue.drain()) secret.wipe()
    this.#queue.end(error)
  }

  #offer(block: QnlBlock): boolean {
    if (block.number > this.#floor && this.#queue.push(block)) return true
    block.secret.wipe()
    return false
  }
}
