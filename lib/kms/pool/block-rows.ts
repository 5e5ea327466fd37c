import type { BlockRecord } from '../../interface/pool-store.ts'
import { lowBlockBits } from '../../key/key-id.ts'

/** The blocks of a pool as this process knows them, by number and by the low bits of it that a key_ID names. */
export class BlockRows {
  readonly #blocks = new Map<bigint, BlockRecord>()
  readonly #numbersByLow = new Map<number, readonly bigint[]>()

  get(number: bigint): BlockRecord | undefined {
    return this.#blocks.get(number)
  }

  /** All rows, in no order that matters. */
  values(): IterableIterator<BlockRecord> {
    return this.#blocks.values()
  }

  /** The rows whose numbers end in these bits: nearly always one. */
  endingIn(low: number): BlockRecord[] {
    return (this.#numbersByLow.get(low) ?? []).map(number => this.#blocks.get(number)!)
  }

  /** Enters a block, or a newer record of it. */
  set(block: BlockRecord): void {
    const { number } = block
    if (!this.#blocks.has(number)) {
      const low = lowBlockBits(number)
      this.#numbersByLow.set(low, [...(this.#numbersByLow.get(low) ?? []), number])
    }
    this.#blocks.set(number, block)
  }

  delete(number: bigint): void {
    if (!this.#blocks.delete(number)) return
    const low = lowBlockBits(number)
    const left = (this.#numbersByLow.get(low) ?? []).filter(other => other !== number)
    if (left.length > 0) this.#numbersByLow.set(low, left)
    else this.#numbersByLow.delete(low)
  }
}
