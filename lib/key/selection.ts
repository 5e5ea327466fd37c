import type { SecurityLevel } from '../interface/kms.ts'
import { CELL_BYTES, cellsFor, PAYLOAD_CELLS } from './cells.ts'

/** Level and derivation of a key in one number: the responder learns both from the selection alone. */
export type Suite = 1 | 2 | 3 | 4 | 5 | 6

const LEVELS: Record<Suite, SecurityLevel> = {
  1: 'one-time-pad',
  2: 'quantum',
  3: 'hybrid',
  4: 'hybrid',
  5: 'expanded',
  6: 'post-quantum',
}

/** How a key of level `hybrid` is made: by XOR with a mask (the default), or by a KDF over both secrets. */
export type HybridKind = 'xor' | 'kdf'

const SUITES = { 'one-time-pad': 1, quantum: 2, expanded: 5, 'post-quantum': 6 } as const

/** The suite in which this KMS issues keys of a level. */
export function suiteOf(level: SecurityLevel, hybrid: HybridKind = 'xor'): Suite {
  if (level === 'hybrid') return hybrid === 'xor' ? 3 : 4
  return SUITES[level]
}

/** Largest key: all payload cells of one block. */
export const MAX_KEY_BYTES = PAYLOAD_CELLS * CELL_BYTES

/** Which key: what Alice tells Bob. Names the key completely; whoever holds it gets that key or a refusal. */
export interface Selection {
  readonly suite: Suite
  /** Full 64-bit number of the block. */
  readonly block: bigint
  /** First cell; the key takes `cellsFor(sizeBytes)` contiguous cells and never crosses a block. */
  readonly offset: number
  /** Exact size of the key, 1 to 31,936. */
  readonly sizeBytes: number
}

/** The level that a suite stands for. */
export function levelOf(suite: Suite): SecurityLevel {
  return LEVELS[suite]
}

/** True for a number that stands for a suite; 0 and 7 to 15 are refused. */
export function isSuite(value: number): value is Suite {
  return Number.isInteger(value) && value >= 1 && value <= 6
}

/** The cell after the selection's last one. */
export function endOf(selection: Pick<Selection, 'offset' | 'sizeBytes'>): number {
  return selection.offset + cellsFor(selection.sizeBytes)
}
