import { ProtocolError, SecretKey } from '../../../lib/index.ts'
import { type KvnoEntry, type KvnoState, kvnoOf } from '../kvno-table.ts'
import { servedEnctype } from '../messages/common-fields.ts'

/** Every version of one principal: what a replica has of it from then on. */
export interface VersionSnapshot {
  readonly sequence: number
  readonly principal: string
  readonly versions: readonly KvnoEntry[]
}

const SNAPSHOT = 1
const ACKNOWLEDGEMENT = 2
const STATES: readonly KvnoState[] = ['announced', 'current', 'retained']
const MAX_VERSIONS = 1000
const MAX_KEYS = 8

/** The snapshot in bytes, which hold keys: who sends them wipes them. */
export function encodeSnapshot({ sequence, principal, versions }: VersionSnapshot): Buffer {
  const name = Buffer.from(principal)
  const size = versions.reduce((sum, version) => sum + versionSize(version), 1 + 4 + 2 + name.byteLength + 2)
  const bytes = Buffer.allocUnsafeSlow(size)
  let at = bytes.writeUInt8(SNAPSHOT)
  at = bytes.writeUInt32BE(sequence, at)
  at = bytes.writeUInt16BE(name.byteLength, at)
  at += name.copy(bytes, at)
  at = bytes.writeUInt16BE(versions.length, at)
  for (const version of versions) at = writeVersion(bytes, at, version)
  return bytes
}

function versionSize({ keyId, keys }: KvnoEntry): number {
  return keys.reduce((sum, { secret }) => sum + 4 + secret.sizeBytes, 8 + 1 + 8 + 8 + 2 + Buffer.byteLength(keyId) + 1)
}

function writeVersion(bytes: Buffer, from: number, { epoch, state, sinceMs, endsMs, keyId, keys }: KvnoEntry): number {
  const id = Buffer.from(keyId)
  let at = bytes.writeDoubleBE(epoch, from)
  at = bytes.writeUInt8(STATES.indexOf(state), at)
  at = bytes.writeDoubleBE(sinceMs, at)
  at = bytes.writeDoubleBE(endsMs ?? -1, at)
  at = bytes.writeUInt16BE(id.byteLength, at)
  at += id.copy(bytes, at)
  at = bytes.writeUInt8(keys.length, at)
  for (const { enctype, secret } of keys) {
    at = bytes.writeUInt16BE(enctype, at)
    at = bytes.writeUInt16BE(secret.sizeBytes, at)
    const keyAt = at
    secret.expose('replica-channel', key => bytes.set(key, keyAt))
    at += secret.sizeBytes
  }
  return at
}

/**
 * The snapshot in `bytes`. The caller owns its keys.
 * @throws {ProtocolError} it is none
 */
export function decodeSnapshot(bytes: Uint8Array): VersionSnapshot {
  const reader = new FieldReader(bytes)
  if (reader.number(1) !== SNAPSHOT) throw malformed()
  const sequence = reader.number(4)
  const principal = reader.text()
  const count = reader.number(2)
  if (count > MAX_VERSIONS) throw malformed()
  const versions: KvnoEntry[] = []
  try {
    for (let read = 0; read < count; read += 1) versions.push(readVersion(reader, principal))
    reader.end()
  } catch (error) {
    for (const { keys } of versions) for (const { secret } of keys) secret.wipe()
    throw error
  }
  return { sequence, principal, versions }
}

function readVersion(reader: FieldReader, principal: string): KvnoEntry {
  const epoch = reader.double()
  const state = STATES[reader.number(1)]
  const [sinceMs, endsMs] = [reader.double(), reader.double()]
  if (!Number.isSafeInteger(epoch) || epoch < 1 || state === undefined) throw malformed()
  const keyId = reader.text()
  const count = reader.number(1)
  if (count === 0 || count > MAX_KEYS) throw malformed()
  const keys = Array.from({ length: count }, () => {
    const enctype = servedEnctype(reader.number(2))
    return { enctype, secret: SecretKey.copyOf(reader.take(reader.number(2))) }
  })
  return { principal, epoch, kvno: kvnoOf(epoch), keyId, state, keys, sinceMs, endsMs: endsMs < 0 ? undefined : endsMs }
}

/** Says that the snapshot of that number serves. */
export function encodeAcknowledgement(sequence: number): Buffer {
  const bytes = Buffer.alloc(5)
  bytes.writeUInt8(ACKNOWLEDGEMENT)
  bytes.writeUInt32BE(sequence, 1)
  return bytes
}

/** @throws {ProtocolError} it is no acknowledgement */
export function decodeAcknowledgement(bytes: Uint8Array): number {
  const reader = new FieldReader(bytes)
  if (reader.number(1) !== ACKNOWLEDGEMENT) throw malformed()
  const sequence = reader.number(4)
  reader.end()
  return sequence
}

class FieldReader {
  readonly #bytes: Buffer
  #at = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  }

  take(sizeBytes: number): Buffer {
    const at = this.#at
    if (sizeBytes > this.#bytes.byteLength - at) throw malformed()
    this.#at += sizeBytes
    return this.#bytes.subarray(at, this.#at)
  }

  number(sizeBytes: number): number {
    return this.take(sizeBytes).readUIntBE(0, sizeBytes)
  }

  double(): number {
    return this.take(8).readDoubleBE()
  }

  text(): string {
    return this.take(this.number(2)).toString('utf8')
  }

  end(): void {
    if (this.#at !== this.#bytes.byteLength) throw malformed()
  }
}

function malformed(): ProtocolError {
  return new ProtocolError('A message between the agents of a realm’s KDCs is malformed')
}
