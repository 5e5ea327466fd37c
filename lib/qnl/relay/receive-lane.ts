import type { PadPiece } from '../../key/pad.ts'
import type { PadRange } from './frame.ts'
import type { LooseBlock } from './fresh-key.ts'

/** Forged tags on one block after which it is burned: a forgery has then a chance of at most 2^-81. */
export const MAX_FORGERIES = 1024

interface ReceiveBlock {
  readonly secret: LooseBlock['secret']
  /** Bytes before it are spent. The other end draws in ascending order, and what it leaves out is lost. */
  spent: number
  forgeries: number
}

/** The blocks of a link that the other end encrypts with. A byte serves one frame with a valid tag, and is wiped then. */
export class ReceiveLane {
  readonly #blocks = new Map<bigint, ReceiveBlock>()

  get sizeBlocks(): number {
    return this.#blocks.size
  }

  add({ number, secret }: LooseBlock): void {
    this.#blocks.set(number, { secret, spent: 0, forgeries: 0 })
  }

  /** The pads of a frame, or why there are none: spent before, or never given to the other end. */
  find(ranges: readonly PadRange[]): PadPiece[] | 'spent' | 'unknown' {
    const pieces: PadPiece[] = []
    const reached = new Map<bigint, number>()
    for (const { number, from, sizeBytes } of ranges) {
      const block = this.#blocks.get(number)
      if (block === undefined || from + sizeBytes > block.secret.sizeBytes) return 'unknown'
      if (from < (reached.get(number) ?? block.spent)) return 'spent'
      reached.set(number, from + sizeBytes)
      pieces.push({ source: block.secret, from, sizeBytes })
    }
    return pieces
  }

  /** The frame was valid: its pads, and what lies before them, are no pads any more. Call it after the last use of them. */
  spend(ranges: readonly PadRange[]): void {
    for (const { number, from, sizeBytes } of ranges) {
      const block = this.#blocks.get(number)
      if (block === undefined) continue
      block.spent = Math.max(block.spent, from + sizeBytes)
      if (block.spent < block.secret.sizeBytes) continue
      block.secret.wipe()
      this.#blocks.delete(number)
    }
  }

  /** A frame that named these pads had a wrong tag. Where that was once too often the blocks are burned; gives how many bytes. */
  forged(ranges: readonly PadRange[]): number {
    let burned = 0
    for (const number of new Set(ranges.map(range => range.number))) {
      const block = this.#blocks.get(number)
      if (block === undefined) continue
      block.forgeries += 1
      if (block.forgeries < MAX_FORGERIES) continue
      burned += block.secret.sizeBytes - block.spent
      block.secret.wipe()
      this.#blocks.delete(number)
    }
    return burned
  }

  /** A block of which nothing is spent, to be a key itself. */
  takeWhole(number: bigint): LooseBlock | undefined {
    const block = this.#blocks.get(number)
    if (block === undefined || block.spent > 0) return undefined
    this.#blocks.delete(number)
    return { number, secret: block.secret }
  }

  wipe(): void {
    for (const { secret } of this.#blocks.values()) secret.wipe()
    this.#blocks.clear()
  }
}
