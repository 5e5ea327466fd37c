import { ONE_TIME_TAG_BYTES, ONE_TIME_TAG_KEY_BYTES, oneTimePad, oneTimeTag, verifyOneTimeTag } from './one-time-pad.ts'
import { bytesOf, SecretKey } from './secret-key.ts'

/**
 * A key that goes to another site under key of the pool with that site: encrypted with as many bytes of it, and authenticated
 * with 32 more by a one-time MAC. What the pad is made of is what the transfer is worth.
 */

/** Bytes of pad that the transfer of a key takes. */
export function transferPadBytes(keyBytes: number): number {
  return keyBytes + ONE_TIME_TAG_KEY_BYTES
}

/** Length of a key in transfer. */
export function transferBytes(keyBytes: number): number {
  return keyBytes + ONE_TIME_TAG_BYTES
}

/** The key as it travels; `header` is authenticated with it. Wipes the pad, which serves once; the key stays the caller's. */
export function sealTransfer(key: SecretKey, pad: SecretKey, header: Uint8Array): Buffer {
  const [padOfKey, macKey] = partsOf(pad)
  const hidden = oneTimePad(padOfKey, bytesOf(key))
  return Buffer.concat([hidden, oneTimeTag(macKey, [header, hidden])])
}

/**
 * The key of a transfer, which the caller owns; undefined where pad, header or transfer are not those that were sealed. Wipes
 * the pad in either case: one try.
 */
export function openTransfer(transfer: Uint8Array, pad: SecretKey, header: Uint8Array): SecretKey | undefined {
  const hidden = transfer.subarray(0, Math.max(0, transfer.byteLength - ONE_TIME_TAG_BYTES))
  if (pad.sizeBytes !== transferPadBytes(hidden.byteLength) || hidden.byteLength === 0) {
    pad.wipe()
    return undefined
  }
  const [padOfKey, macKey] = partsOf(pad)
  if (!verifyOneTimeTag(macKey, [header, hidden], transfer.subarray(hidden.byteLength))) {
    padOfKey.wipe()
    return undefined
  }
  return SecretKey.adopt(oneTimePad(padOfKey, hidden))
}

function partsOf(pad: SecretKey): [SecretKey, SecretKey] {
  const bytes = bytesOf(pad)
  const end = bytes.byteLength - ONE_TIME_TAG_KEY_BYTES
  const parts: [SecretKey, SecretKey] = [
    SecretKey.copyOf(bytes.subarray(0, end)),
    SecretKey.copyOf(bytes.subarray(end)),
  ]
  pad.wipe()
  return parts
}
