import type { PoolLevel } from '../../interface/qnl.ts'
import { BLOCK_BYTES } from '../../key/cells.ts'

const BLOCK_BITS = 8 * BLOCK_BYTES
/** Key comes in blocks and hosts take it meanwhile: who lacks less than a block, or than this share, is full. */
const SLACK = 0.1

/** What a pool lacks of what it is to hold, in bits; 0 where that is next to nothing. */
export function missingBits({ stockBits, targetBits }: PoolLevel): number {
  const missing = targetBits - stockBits
  return missing < Math.max(BLOCK_BITS, SLACK * targetBits) ? 0 : missing
}

/** Of several sides of a pool the one that lacks most; undefined where one does not say. */
export function emptiest(levels: readonly (PoolLevel | undefined)[]): PoolLevel | undefined {
  if (levels.length === 0) return undefined
  return levels.reduce((least, level) => {
    if (least === undefined || level === undefined) return undefined
    return level.targetBits - level.stockBits > least.targetBits - least.stockBits ? level : least
  })
}
