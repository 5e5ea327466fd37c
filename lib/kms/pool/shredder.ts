import type { Logger } from '../../interface/logger.ts'
import type { BlockRecord } from '../../interface/pool-store.ts'
import { PAYLOAD_CELLS } from '../../key/cells.ts'
import { countSet, isClear } from '../store/bitmap.ts'
import type { BlockLedger } from './block-ledger.ts'
import type { Lessee } from './lessee.ts'

/** What the shredder works on and with. */
export interface ShredderOptions {
  readonly ledger: BlockLedger
  /** Who leases from the block. */
  readonly lesseeOf: (block: BlockRecord) => Lessee
  /** A delivered cell is gone from the store after this long at the latest, in milliseconds. */
  readonly shredMs: number
  readonly monotonicMs: () => number
  readonly logger: Logger
}

/**
 * Makes delivered cells of living blocks unreadable at rest: within `shredMs` a block with spent cells is written anew
 * without them, and its old key destroyed. After a restart every block with spent cells counts as not yet rewritten.
 */
export class Shredder {
  readonly #options: ShredderOptions
  /** Spent cells of each block when it was last rewritten. */
  readonly #shredded = new Map<bigint, number>()
  #lastMs = Number.NEGATIVE_INFINITY

  constructor(options: ShredderOptions) {
    this.#options = options
    options.ledger.onDeath(number => this.#shredded.delete(number))
  }

  async sweep(): Promise<void> {
    const { ledger, logger, monotonicMs, shredMs } = this.#options
    await ledger
      .destroyLeft()
      .catch(error => logger.error({ err: (error as Error).message }, 'Keys that are no longer needed are still there'))
    const nowMs = monotonicMs()
    // Half the promise, so that a cell spent right after one sweep is gone with the next.
    if (nowMs - this.#lastMs < shredMs / 2) return
    this.#lastMs = nowMs
    for (const block of [...ledger.blocks()]) {
      const ranges = this.#spentRanges(block)
      const spent = ranges.reduce((sum, { from, to }) => sum + to - from, 0)
      if (spent <= (this.#shredded.get(block.number) ?? 0)) continue
      try {
        if (await ledger.reseal(block, ranges)) this.#shredded.set(block.number, spent)
      } catch (error) {
        // One block that does not open must not keep the others from being rewritten.
        logger.error({ block: String(block.number), err: (error as Error).message }, 'A block could not be rewritten')
      }
    }
  }

  #spentRanges(block: BlockRecord): { from: number; to: number }[] {
    const { ledger, lesseeOf } = this.#options
    if (block.state === 'active' && ledger.owns(block)) {
      const to = lesseeOf(block).storedBytesSpentBelow(block)
      return to > 0 ? [{ from: 0, to }] : []
    }
    if (block.state !== 'ready' || countSet(block.consumed, 0, PAYLOAD_CELLS) === 0) return []
    const ranges: { from: number; to: number }[] = []
    for (let cell = 0; cell < PAYLOAD_CELLS; cell++) {
      if (isClear(block.consumed, cell, cell + 1)) continue
      const last = ranges.at(-1)
      if (last?.to === cell) last.to++
      else ranges.push({ from: cell, to: cell + 1 })
    }
    return ranges
  }
}
