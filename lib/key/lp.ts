import { ByteWriter } from '../util/bytes.ts'

/** Fields one after the other, each behind its 16-bit length: no two lists of fields give the same bytes. */
export function lp(...fields: readonly (string | Uint8Array)[]): Buffer {
  const writer = new ByteWriter()
  for (const field of fields) writer.field(field)
  return writer.bytes()
}

/** An unsigned 64-bit number as 8 bytes, big-endian, for use as a field. */
export function u64(value: bigint | number): Buffer {
  return new ByteWriter().u64(BigInt(value)).bytes()
}
