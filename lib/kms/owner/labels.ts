import { ProtocolError } from '../../errors.ts'
import type { SecurityLevel, TrustClass } from '../../interface/kms.ts'
import type { ByteReader } from '../../util/bytes.ts'

/** One byte each on the wire: the place in the list, from 1 on. Only ever added to at the end. */
const LEVELS: readonly SecurityLevel[] = ['one-time-pad', 'quantum', 'hybrid', 'expanded', 'post-quantum']
const TRUST_CLASSES: readonly TrustClass[] = ['direct', 'split', 'relayed', 'post-quantum']

/** The byte of a level; 0 for none. */
export function levelByte(level: SecurityLevel | undefined): number {
  return level === undefined ? 0 : LEVELS.indexOf(level) + 1
}

/** The byte of a trust class; 0 for none. */
export function trustClassByte(trustClass: TrustClass | undefined): number {
  return trustClass === undefined ? 0 : TRUST_CLASSES.indexOf(trustClass) + 1
}

/** @throws {ProtocolError} no level has that byte */
export function readLevel(reader: ByteReader): SecurityLevel | undefined {
  return named(LEVELS, reader.u8(), 'level')
}

/** @throws {ProtocolError} no trust class has that byte */
export function readTrustClass(reader: ByteReader): TrustClass | undefined {
  return named(TRUST_CLASSES, reader.u8(), 'trust class')
}

function named<T>(names: readonly T[], byte: number, what: string): T | undefined {
  if (byte > names.length) throw new ProtocolError(`No ${what} has number ${byte}`)
  return byte === 0 ? undefined : names[byte - 1]
}
