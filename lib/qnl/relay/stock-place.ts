import { createHash } from 'node:crypto'
import { StoreError } from '../../errors.ts'
import type { LinkMarks } from '../../interface/link-stock.ts'
import { lp, u64 } from '../../key/lp.ts'
import { openSecret, SEAL_OVERHEAD_BYTES, sealSecret } from '../../key/seal.ts'
import { SecretKey } from '../../key/secret-key.ts'
import { ByteReader, ByteWriter } from '../../util/bytes.ts'

/** The marks lie at the beginning of a file, twice: one copy is whole whatever happens to the other. */
export const MARKS_BYTES = 4096
const COPY_BYTES = 512
const CHECK_BYTES = 16

/** One place: a head that is overwritten when the block is destroyed, then the block itself, sealed under a key in the head. */
export const PLACE_BYTES = 32_768
export const HEAD_BYTES = 512
const MAX_SEALED_BYTES = PLACE_BYTES - HEAD_BYTES
/** Largest block that a place takes. */
export const MAX_BLOCK_BYTES = MAX_SEALED_BYTES - SEAL_OVERHEAD_BYTES
const KEY_BYTES = 32
const FULL = 1

/** A block in the form of one place. */
export function encodePlace(kek: SecretKey, linkId: string, number: bigint, secret: SecretKey): Buffer {
  if (secret.sizeBytes > MAX_BLOCK_BYTES) {
    throw new StoreError(`A place holds at most ${MAX_BLOCK_BYTES} bytes, not ${secret.sizeBytes}`)
  }
  const key = SecretKey.random(KEY_BYTES)
  const context = lp('qkdkit/1 link stock', linkId, u64(number))
  const wrapped = sealSecret(kek, key, context)
  const sealed = sealSecret(key, secret, context)
  key.wipe()
  const place = Buffer.alloc(PLACE_BYTES)
  place.set(new ByteWriter().u8(FULL).u64(number).u32(sealed.byteLength).field(wrapped).bytes())
  place.set(sealed, HEAD_BYTES)
  return place
}

/** Number of the block in a place; undefined for an empty one. */
export function numberIn(head: Uint8Array): bigint | undefined {
  return head[0] === FULL ? new ByteReader(head.subarray(1)).u64() : undefined
}

/** @throws {StoreError} the place is damaged, or sealed for another link or number */
export function decodePlace(kek: SecretKey, linkId: string, place: Uint8Array): SecretKey {
  const reader = new ByteReader(place)
  if (reader.u8() !== FULL) throw new StoreError('A place of the link stock is empty: its key was destroyed')
  const number = reader.u64()
  const sizeBytes = reader.u32()
  if (sizeBytes > MAX_SEALED_BYTES) throw new StoreError('A place of the link stock is damaged')
  const context = lp('qkdkit/1 link stock', linkId, u64(number))
  const key = openSecret(kek, reader.field(), context)
  try {
    return openSecret(key, place.subarray(HEAD_BYTES, HEAD_BYTES + sizeBytes), context)
  } finally {
    key.wipe()
  }
}

/** The marks as one of the two copies, and where that goes. */
export function encodeMarks({ commits, heardCommits, floor }: LinkMarks): { at: number; bytes: Buffer } {
  const fields = new ByteWriter().u64(BigInt(commits)).u64(BigInt(heardCommits)).u64(floor).bytes()
  return { at: (commits % 2) * COPY_BYTES, bytes: Buffer.concat([fields, check(fields)]) }
}

/** The newer of the whole copies; zeros for a new file. */
export function decodeMarks(area: Uint8Array): LinkMarks {
  const copies = [0, COPY_BYTES].flatMap(at => {
    const fields = area.subarray(at, at + 24)
    if (fields.byteLength < 24 || !check(fields).equals(area.subarray(at + 24, at + 24 + CHECK_BYTES))) return []
    const reader = new ByteReader(fields)
    return [{ commits: Number(reader.u64()), heardCommits: Number(reader.u64()), floor: reader.u64() }]
  })
  return copies.sort((a, b) => b.commits - a.commits)[0] ?? { commits: 0, heardCommits: 0, floor: 0n }
}

function check(fields: Uint8Array): Buffer {
  return createHash('sha256').update('qkdkit/1 marks').update(fields).digest().subarray(0, CHECK_BYTES)
}
