import assert from 'node:assert/strict'
import type { SecretKey } from '../../lib/key/secret-key.ts'

/** What a link or a QNL gives: a piece of key under a number that both sites share. */
export interface NumberedBlock {
  readonly number: bigint
  readonly secret: SecretKey
}

/** Takes the next block at one side. */
export type TakeBlock<B extends NumberedBlock> = (options: { signal: AbortSignal }) => Promise<B>

/** How long a block that must come may take, in milliseconds. */
const PATIENCE_MS = 8000
/** Blocks that one side may be ahead of the other before the search for a common one is given up. */
const MAX_LEAD = 10_000

class Side {
  /** Blocks of this side that the other one has not given yet. */
  readonly waiting = new Map<bigint, NumberedBlock>()
  last = -1n
}

/**
 * Takes blocks at both sides and holds the contract against each: numbers ascend and never come twice, and the same
 * number brings the same bytes.
 */
export class BlockMatcher<B extends NumberedBlock> {
  readonly #takes: readonly [TakeBlock<B>, TakeBlock<B>]
  readonly #sides = [new Side(), new Side()] as const
  #matched = 0

  constructor(takes: readonly [TakeBlock<B>, TakeBlock<B>]) {
    this.#takes = takes
  }

  /** The next block of a side, or a failure if none comes. */
  async take(side: 0 | 1): Promise<B> {
    const signal = AbortSignal.timeout(PATIENCE_MS)
    return this.note(side, await this.#takes[side]({ signal }))
  }

  /** Checks a block that was taken at that side by other means. It is wiped once its twin has come. */
  note(side: 0 | 1, block: B): B {
    const [own, other] = [this.#sides[side], this.#sides[side === 0 ? 1 : 0]]
    assert.ok(block.number > own.last, `block ${block.number} at side ${side} comes after block ${own.last}`)
    own.last = block.number
    const twin = other.waiting.get(block.number)
    if (twin === undefined) own.waiting.set(block.number, block)
    else {
      assert.ok(twin.secret.equals(block.secret), `block ${block.number} has the same bytes at both sides`)
      other.waiting.delete(block.number)
      twin.secret.wipe()
      block.secret.wipe()
      this.#matched += 1
    }
    return block
  }

  /** Checks a block that was asked for at that side, and takes at the other one until it comes. */
  async await(side: 0 | 1, asked: Promise<B>): Promise<B> {
    let pending = true
    const settled = asked.finally(() => {
      pending = false
    })
    settled.catch(() => {})
    while (pending) await this.take(side === 0 ? 1 : 0)
    return this.note(side, await settled)
  }

  /** Takes until `count` more blocks were found at both sides. */
  async match(count: number): Promise<void> {
    const goal = this.#matched + count
    for (let step = 0; this.#matched < goal; step += 1) {
      assert.ok(step < count * 2 + MAX_LEAD, `no common block within ${step}`)
      await this.take(this.#behind)
    }
  }

  /** Takes until both sides stand at the same number; then each must have given every block that the other one gave. */
  async level(): Promise<void> {
    await this.#meet()
    const missing = this.#sides.map(side => [...side.waiting.keys()])
    assert.deepEqual(missing, [[], []], 'every block comes at both sides')
  }

  /** Takes until both sides stand at the same number, and gives up on the twins that did not come, as after a cut. */
  async realign(): Promise<void> {
    await this.#meet()
    for (const { waiting } of this.#sides) {
      for (const { secret } of waiting.values()) secret.wipe()
      waiting.clear()
    }
  }

  async #meet(): Promise<void> {
    for (let step = 0; this.#sides[0].last !== this.#sides[1].last; step += 1) {
      assert.ok(step < MAX_LEAD, `the sides do not meet within ${step} blocks`)
      await this.take(this.#behind)
    }
  }

  get #behind(): 0 | 1 {
    return this.#sides[0].last <= this.#sides[1].last ? 0 : 1
  }
}
