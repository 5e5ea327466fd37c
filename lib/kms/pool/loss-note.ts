import { StoreError } from '../../errors.ts'
import { ByteReader, ByteWriter } from '../../util/bytes.ts'

/** What a pool remembers of what it lost with restores: the stored form of one note, so that it is not lost with the next. */

/** Name of the note. */
export const LOSS_NOTE = 'losses'
const FORMAT = 1

/** What went because a store was put back, here or at the peer, or the secret of the two was lost. */
export interface PoolLosses {
  /** How often the pool had to be made good since it began. */
  readonly count: number
  /** Cells of 32 bytes that could have been given out at this site, all times together. */
  readonly cells: number
  /** The last time: wall clock, milliseconds since 1970; and why. */
  readonly lastAtMs: number
  readonly lastCause: string
}

/** The note as it is stored. */
export function encodeLosses({ count, cells, lastAtMs, lastCause }: PoolLosses): Buffer {
  const writer = new ByteWriter()
    .u8(FORMAT)
    .u64(BigInt(count))
    .u64(BigInt(cells))
    .u64(BigInt(Math.round(lastAtMs)))
  return writer.field(lastCause).bytes()
}

/** @throws {StoreError} the note is of another format, or damaged */
export function decodeLosses(bytes: Uint8Array): PoolLosses {
  const reader = new ByteReader(bytes)
  const format = reader.u8()
  if (format !== FORMAT)
    throw new StoreError(`The store holds a note of format ${format}; this version reads ${FORMAT}`)
  const [count, cells, lastAtMs] = [Number(reader.u64()), Number(reader.u64()), Number(reader.u64())]
  const lastCause = reader.text()
  reader.end()
  return { count, cells, lastAtMs, lastCause }
}
