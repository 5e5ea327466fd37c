import { ProtocolError } from '../errors.ts'
import type { ByteReader, ByteWriter } from './bytes.ts'

/** A kind of field of a message: how it is written, read and bounded. */
export interface FieldKind<T> {
  write(writer: ByteWriter, value: T): void
  read(reader: ByteReader): T
}

/** Numbers of 1, 2, 4 and 8 bytes. */
export const u8: FieldKind<number> = { write: (w, v) => w.u8(v), read: r => r.u8() }
export const u16: FieldKind<number> = { write: (w, v) => w.u16(v), read: r => r.u16() }
export const u32: FieldKind<number> = { write: (w, v) => w.u32(v), read: r => r.u32() }
export const u64: FieldKind<bigint> = { write: (w, v) => w.u64(v), read: r => r.u64() }

/** A number that JavaScript counts exactly, in 8 bytes. */
export const count: FieldKind<number> = {
  write: (w, v) => w.u64(BigInt(v)),
  read: r => {
    const value = r.u64()
    if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw new ProtocolError('A count in the message is too large')
    return Number(value)
  },
}

/** As many bytes as both ends know; the reader gets a copy. */
export const fixedBytes = (sizeBytes: number): FieldKind<Uint8Array> => ({
  write: (w, v) => w.raw(v),
  read: r => Uint8Array.from(r.raw(sizeBytes)),
})
