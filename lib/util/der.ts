import { ProtocolError } from '../errors.ts'

/** Tags of the DER values that certificates are made of. */
export const DER = {
  boolean: 0x01,
  integer: 0x02,
  bits: 0x03,
  octets: 0x04,
  oid: 0x06,
  utf8: 0x0c,
  utcTime: 0x17,
  generalizedTime: 0x18,
  sequence: 0x30,
  set: 0x31,
} as const

/** One value: its tag, its length, its parts one after the other. */
export function der(tag: number, ...parts: readonly Uint8Array[]): Buffer {
  const size = parts.reduce((total, part) => total + part.byteLength, 0)
  return Buffer.concat([Buffer.of(tag), lengthOf(size), ...parts])
}

/** A value that was read. */
export interface DerValue {
  readonly tag: number
  readonly content: Buffer
  /** With tag and length. */
  readonly whole: Buffer
}

/** The values that stand one after the other in `bytes`. @throws {ProtocolError} they are cut short, or not DER */
export function derValues(bytes: Uint8Array): DerValue[] {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const values: DerValue[] = []
  for (let at = 0; at < buffer.byteLength; ) {
    const { from, size } = headerAt(buffer, at)
    values.push({
      tag: buffer[at]!,
      content: buffer.subarray(from, from + size),
      whole: buffer.subarray(at, from + size),
    })
    at = from + size
  }
  return values
}

function headerAt(buffer: Buffer, at: number): { from: number; size: number } {
  const first = buffer[at + 1] ?? 0xff
  const more = first < 0x80 ? 0 : first - 0x80
  const from = at + 2 + more
  // Nothing here is longer than four bytes of length tell, or of no told length.
  if (more > 4 || first === 0x80 || from > buffer.byteLength) throw new ProtocolError('A value is not in DER')
  const size = more === 0 ? first : buffer.readUIntBE(at + 2, more)
  if (from + size > buffer.byteLength) throw new ProtocolError('A value in DER is cut short')
  return { from, size }
}

function lengthOf(size: number): Buffer {
  if (size < 0x80) return Buffer.of(size)
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(size)
  const used = bytes.subarray(bytes.findIndex(byte => byte !== 0))
  return Buffer.concat([Buffer.of(0x80 + used.byteLength), used])
}
