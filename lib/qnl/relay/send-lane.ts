import type { PadPiece } from '../../key/pad.ts'
import type { PadRange } from './frame.ts'
import type { LooseBlock } from './fresh-key.ts'

/** Pads for one frame, and where the other end finds them. */
export interface DrawnPad {
  readonly ranges: readonly PadRange[]
  readonly pieces: readonly PadPiece[]
}

/**
 * The blocks of a link that this end encrypts with: both ends have given them up durably, so they live in these two
 * processes alone, and each byte is drawn once.
 */
export class SendLane {
  readonly #blocks: { readonly number: bigint; readonly secret: LooseBlock['secret']; at: number }[] = []
  #sizeBytes = 0

  /** Bytes that are left. */
  get sizeBytes(): number {
    return this.#sizeBytes
  }

  add({ number, secret }: LooseBlock): void {
    this.#blocks.push({ number, secret, at: 0 })
    this.#sizeBytes += secret.sizeBytes
  }

  /** The next bytes, never to be drawn again; undefined where there are not as many. */
  draw(sizeBytes: number): DrawnPad | undefined {
    if (sizeBytes > this.#sizeBytes) return undefined
    const ranges: PadRange[] = []
    const pieces: PadPiece[] = []
    for (let left = sizeBytes; left > 0; ) {
      const block = this.#blocks[0]!
      const taken = Math.min(left, block.secret.sizeBytes - block.at)
      ranges.push({ number: block.number, from: block.at, sizeBytes: taken })
      pieces.push({ source: block.secret, from: block.at, sizeBytes: taken })
      block.at += taken
      left -= taken
      if (block.at === block.secret.sizeBytes) this.#blocks.shift()
    }
    this.#sizeBytes -= sizeBytes
    return { ranges, pieces }
  }

  /** A block of which nothing was drawn, to be a key itself; undefined where there is none. */
  takeWhole(): LooseBlock | undefined {
    const last = this.#blocks.at(-1)
    if (last === undefined || last.at > 0) return undefined
    this.#blocks.pop()
    this.#sizeBytes -= last.secret.sizeBytes
    return { number: last.number, secret: last.secret }
  }

  /** Destroys what is left; gives how many bytes that were. */
  wipe(): number {
    const burned = this.#sizeBytes
    for (const { secret } of this.#blocks) secret.wipe()
    this.#blocks.length = 0
    this.#sizeBytes = 0
    return burned
  }
}
