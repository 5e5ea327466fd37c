import { StoreError } from '../errors.ts'
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

/**
 * A copy of `sizeBytes` bytes from the cell at `offset` on.
 * @throws {StoreError} a cell of them was wiped: a spent cell must never look like a key
 */
export function readCells(block: SecretKey, offset: number, sizeBytes: number): SecretKey {
  const bytes = bytesOf(block)
  for (let cell = offset; cell < offset + cellsFor(sizeBytes); cell++) {
    if (isWiped(bytes, cell)) throw new StoreError(`Cell ${cell} was wiped before`)
  }
  const from = offset * CELL_BYTES
  return SecretKey.copyOf(bytes.subarray(from, from + sizeBytes))
}

function isWiped(bytes: Uint8Array, cell: number): boolean {
  for (let i = cell * CELL_BYTES; i < (cell + 1) * CELL_BYTES; i++) if (bytes[i] !== 0) return false
  return true
}

/** Copies cells `from` to `to`, exclusive, into the same places of another copy of the block. */
export function copyCells(source: SecretKey, target: SecretKey, from: number, to: number): void {
  bytesOf(target).set(bytesOf(source).subarray(from * CELL_BYTES, to * CELL_BYTES), from * CELL_BYTES)
}

/** Overwrites every payload cell but those of the ranges, `to` exclusive; what lies behind the payload stays. */
export function keepCells(block: SecretKey, ranges: readonly { readonly from: number; readonly to: number }[]): void {
  let at = 0
  for (const { from, to } of [...ranges].sort((a, b) => a.from - b.from)) {
    if (from > at) wipeCells(block, at, from - at)
    at = Math.max(at, to)
  }
  if (at < PAYLOAD_CELLS) wipeCells(block, at, PAYLOAD_CELLS - at)
}

/** Overwrites cells with zeros, so that a delivered key is gone from every copy of the block that we hold. */
export function wipeCells(block: SecretKey, offset: number, cells: number): void {
  bytesOf(block).fill(0, offset * CELL_BYTES, (offset + cells) * CELL_BYTES)
}
