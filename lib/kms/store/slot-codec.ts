import { createHash } from 'node:crypto'
import { StoreError } from '../../errors.ts'
import { KEY_NAME_BYTES } from '../../key/key-name.ts'
import { SEAL_OVERHEAD_BYTES } from '../../key/seal.ts'
import type { SecretKey } from '../../key/secret-key.ts'
import type { KekRing } from './kek-ring.ts'

/**
 * One place of the slot file: format byte, length byte, name of the key encryption key, digest of the context, sealed
 * secret, zeros. All zeros is an empty place. The digest stands in clear so that a place can be sealed anew under another
 * key by somebody who does not know what it is for.
 */
export const SLOT_BYTES = 128
const CONTEXT_AT = 2 + KEY_NAME_BYTES
const CONTEXT_BYTES = 16
const HEADER_BYTES = CONTEXT_AT + CONTEXT_BYTES
const FORMAT = 2
/** Longest secret that a place takes, in bytes. */
export const MAX_SLOT_SECRET_BYTES = SLOT_BYTES - HEADER_BYTES - SEAL_OVERHEAD_BYTES

/** A secret sealed under the current key encryption key, in the form of one place. */
export function encodeSlot(keks: KekRing, secret: SecretKey, context: Uint8Array): Buffer {
  return encode(keks, secret, digestOf(context))
}

/** @throws {StoreError} the place is empty or damaged, its context is another, or its key encryption key is not given */
export function decodeSlot(keks: KekRing, slot: Uint8Array, context: Uint8Array): SecretKey {
  const { secret, digest } = open(keks, slot)
  if (digest.equals(digestOf(context))) return secret
  secret.wipe()
  throw new StoreError('A slot holds the key of something else')
}

/** The place sealed under the current key encryption key; undefined where it is so already, or is empty. */
export function renewSlot(keks: KekRing, slot: Uint8Array): Buffer | 'damaged' | undefined {
  if (isEmptySlot(slot) || keks.current.name.equals(slot.subarray(2, CONTEXT_AT))) return undefined
  let opened: ReturnType<typeof open>
  try {
    opened = open(keks, slot)
  } catch {
    return 'damaged'
  }
  try {
    return encode(keks, opened.secret, opened.digest)
  } finally {
    opened.secret.wipe()
  }
}

/** Tells of a place whether it holds something of this context. */
export function isSlotOf(context: Uint8Array): (slot: Uint8Array) => boolean {
  const digest = digestOf(context)
  return slot => slot[0] === FORMAT && digest.equals(slot.subarray(CONTEXT_AT, HEADER_BYTES))
}

/** True for a place that holds nothing. */
export function isEmptySlot(slot: Uint8Array): boolean {
  return slot[0] === 0
}

function encode(keks: KekRing, secret: SecretKey, digest: Uint8Array): Buffer {
  if (secret.sizeBytes > MAX_SLOT_SECRET_BYTES)
    throw new StoreError(`A slot holds at most ${MAX_SLOT_SECRET_BYTES} bytes, not ${secret.sizeBytes}`)
  const slot = Buffer.alloc(SLOT_BYTES)
  slot[0] = FORMAT
  slot[1] = secret.sizeBytes + SEAL_OVERHEAD_BYTES
  slot.set(keks.current.name, 2)
  slot.set(digest, CONTEXT_AT)
  slot.set(keks.current.seal(secret, slot.subarray(0, HEADER_BYTES)), HEADER_BYTES)
  return slot
}

function open(keks: KekRing, slot: Uint8Array): { secret: SecretKey; digest: Buffer } {
  if (isEmptySlot(slot)) throw new StoreError('A slot is empty: its key was destroyed')
  if (slot[0] !== FORMAT) throw new StoreError(`A slot has format ${slot[0]}; this version reads ${FORMAT}`)
  const bytes = Buffer.from(slot.buffer, slot.byteOffset, slot.byteLength)
  const end = HEADER_BYTES + bytes[1]!
  if (end > SLOT_BYTES) throw new StoreError('A slot is damaged')
  const kek = keks.find(bytes.subarray(2, CONTEXT_AT))
  const secret = kek.open(bytes.subarray(HEADER_BYTES, end), bytes.subarray(0, HEADER_BYTES))
  return { secret, digest: bytes.subarray(CONTEXT_AT, HEADER_BYTES) }
}

function digestOf(context: Uint8Array): Buffer {
  return createHash('sha256').update(context).digest().subarray(0, CONTEXT_BYTES)
}
