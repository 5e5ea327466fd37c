import { PoolExhaustedError } from '../errors.ts'
import { cellsFor } from '../key/cells.ts'

/**
 * What the pool is not made to hold would drain every block that comes, and starve everybody else meanwhile.
 * @throws {PoolExhaustedError} so many keys of that size are more than a full pool
 */
export function requireCapacity(
  capacityCells: number,
  { number, sizeBytes }: { number: number; sizeBytes: number },
): void {
  const available = Math.floor(capacityCells / cellsFor(sizeBytes))
  if (number <= available) return
  throw new PoolExhaustedError(
    `The pool holds ${available} keys of that size when it is full; ask for fewer at a time`,
    {
      details: [{ key_count_requested: number, key_count_available: available }],
    },
  )
}
