import { StoreError } from '../../errors.ts'
import { openSecret, SEAL_OVERHEAD_BYTES, sealSecret } from '../../key/seal.ts'
import type { SecretKey } from '../../key/secret-key.ts'

/** One place of the slot file: format byte, length byte, sealed secret, zeros. All zeros is an empty place. */
export const SLOT_BYTES = 128
const HEADER_BYTES = 2
const FORMAT = 1
/** Longest secret that a place takes, in bytes. */
export const MAX_SLOT_SECRET_BYTES = SLOT_BYTES - HEADER_BYTES - SEAL_OVERHEAD_BYTES

/** A secret sealed under the key encryption key, in the form of one place. */
export function encodeSlot(kek: SecretKey, secret: SecretKey, context: Uint8Array): Buffer {
  if (secret.sizeBytes > MAX_SLOT_SECRET_BYTES) {
    throw new StoreError(`A slot holds at most ${MAX_SLOT_SECRET_BYTES} bytes, not ${secret.sizeBytes}`)
  }
  const sealed = sealSecret(kek, secret, context)
  const slot = Buffer.alloc(SLOT_BYTES)
  slot[0] = FORMAT
  slot[1] = sealed.byteLength
  sealed.copy(slot, HEADER_BYTES)
  return slot
}

/** @throws {StoreError} the place is empty or damaged, or its context is another */
export function decodeSlot(kek: SecretKey, slot: Uint8Array, context: Uint8Array): SecretKey {
  if (isEmptySlot(slot)) throw new StoreError('A slot is empty: its key was destroyed')
  if (slot[0] !== FORMAT) throw new StoreError(`A slot has format ${slot[0]}; this version reads ${FORMAT}`)
  const end = HEADER_BYTES + slot[1]!
  if (end > SLOT_BYTES) throw new StoreError('A slot is damaged')
  return openSecret(kek, slot.subarray(HEADER_BYTES, end), context)
}

/** True for a place that holds nothing. */
export function isEmptySlot(slot: Uint8Array): boolean {
  return slot[0] === 0
}
