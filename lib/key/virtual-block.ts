import type { TrustClass } from '../interface/kms.ts'
import { BLOCK_BYTES, CELL_BYTES, PAYLOAD_CELLS } from './cells.ts'
import { hkdfExpand, hmacKey } from './hkdf.ts'
import { lp, u64 } from './lp.ts'
import { bytesOf, SecretKey } from './secret-key.ts'
import type { Suite } from './selection.ts'

/**
 * Blocks that no network delivered: both sites fill them from one cell of a block (`expanded`) or from their pair secret
 * (`post-quantum`). Everything behind that is the life of any block. The kind stands in the number, so a block can't be
 * taken for one of another kind.
 */

/** What a block is made of. `network`: it came from the QNL. */
export type BlockKind = 'network' | 'expanded' | 'post-quantum'
/** The kinds that the two sites make themselves. */
export type VirtualKind = Exclude<BlockKind, 'network'>

const VIRTUAL = 1n << 63n
const POST_QUANTUM = 1n << 62n
const COUNTER_BITS = 28n
const SEQUENCE_BITS = 60n
/** HKDF-SHA-512 gives 510 cells at most; a block is made in parts of this many. */
const PART_CELLS = 250

/** The kind of the block with this number. */
export function blockKind(number: bigint): BlockKind {
  if ((number & VIRTUAL) === 0n) return 'network'
  return (number & POST_QUANTUM) === 0n ? 'expanded' : 'post-quantum'
}

/** True for a block that two sites make, and no network gave them. */
export function isVirtual({ number }: { readonly number: bigint }): boolean {
  return blockKind(number) !== 'network'
}

/** The kind of block whose cells a suite takes. */
export function kindForSuite(suite: Suite): BlockKind {
  if (suite === 5) return 'expanded'
  return suite === 6 ? 'post-quantum' : 'network'
}

/** Number of a virtual block. `lane`: the place of its owner among the sorted sites, which the lowest bit tells as for any block. */
export function virtualNumber(kind: VirtualKind, lane: 0 | 1, sequence: bigint): bigint {
  return VIRTUAL | (kind === 'post-quantum' ? POST_QUANTUM : 0n) | (sequence << 1n) | BigInt(lane)
}

/** Which of its lane's virtual blocks it is; both kinds count together. */
export function sequenceOf(number: bigint): bigint {
  return (number >> 1n) & ((1n << SEQUENCE_BITS) - 1n)
}

/** Below the first sequence of a pool epoch: what was opened before a reset never comes again. */
export function firstSequence(poolEpoch: number): bigint {
  return BigInt(poolEpoch) << COUNTER_BITS
}

/** What names a virtual block: no two have the same. */
export interface VirtualContext {
  /** Both site IDs, as the pair writes them. */
  readonly poolId: Uint8Array
  readonly block: bigint
  readonly trustClass: TrustClass
  /** How many cells it has, 1 to 998: those behind the offset `998 - cells`. */
  readonly cells: number
}

/** Where the cell stands that a block of kind `expanded` grows from. */
export interface SeedPlace {
  readonly block: bigint
  readonly offset: number
}

/**
 * The 1,000 cells of a block of kind `expanded`, from its one seed cell: computationally secret as long as the seed is. Those
 * outside its budget are zeros, which are never read as a key. The caller owns both.
 */
export function expandSeed(seed: SecretKey, { block, offset }: SeedPlace, context: VirtualContext): SecretKey {
  return fill(seed, lp('qkdkit/1 expanded', ...named(context), u64(block), u64(offset)), context.cells)
}

/** The cells of a block of kind `post-quantum`, from the pair's root of `epoch`: as secret as ML-KEM is hard. The caller owns both. */
export function postQuantumCells(root: SecretKey, epoch: number, context: VirtualContext): SecretKey {
  return fill(root, lp('qkdkit/1 post-quantum', ...named(context), u64(epoch)), context.cells)
}

function named({ poolId, block, trustClass, cells }: VirtualContext): (string | Uint8Array)[] {
  return [poolId, u64(block), trustClass, u64(cells)]
}

/** Extract with everything that names the block, then expand part by part. */
function fill(secret: SecretKey, context: Uint8Array, cells: number): SecretKey {
  const prk = hmacKey('sha512', secret, context)
  const block = Buffer.allocUnsafeSlow(BLOCK_BYTES).fill(0)
  try {
    for (let done = 0; done < cells; done += PART_CELLS) {
      const sizeBytes = Math.min(PART_CELLS, cells - done) * CELL_BYTES
      const info = lp('qkdkit/1 cells', u64(done))
      const part = hkdfExpand(prk, { hash: 'sha512', info, sizeBytes })
      block.set(bytesOf(part), (PAYLOAD_CELLS - cells + done) * CELL_BYTES)
      part.wipe()
    }
    return SecretKey.adopt(block)
  } finally {
    prk.wipe()
  }
}
