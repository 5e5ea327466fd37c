import { bytesOf, SecretKey } from './secret-key.ts'

/** Bytes of one cell, the unit in which a pool is counted. */
export const CELL_BYTES = 32
/** Cells of a block: the unit in which the QNL fills a pool. */
export const BLOCK_CELLS = 1000
export const BLOCK_BYTES = BLOCK_CELLS * CELL_BYTES
/** Cells of a block that are issued; the last two are kept to authenticate a later block. */
export const PAYLOAD_CELLS = 998

/** How many cells a key of that size takes. */
export function cellsFor(sizeBytes: number): number {
  return Math.ceil(sizeBytes / CELL_BYTES)
}

/** A copy of `sizeBytes` bytes from the cell at `offset` on. */
export function readCells(block: SecretKey, offset: number, sizeBytes: number): SecretKey {
  const from = offset * CELL_BYTES
  return SecretKey.copyOf(bytesOf(block).subarray(from, from + sizeBytes))
}

/** Overwrites cells with zeros, so that a delivered key is gone from every copy of the block that we hold. */
export function wipeCells(block: SecretKey, offset: number, cells: number): void {
  bytesOf(block).fill(0, offset * CELL_BYTES, (offset + cells) * CELL_BYTES)
}
