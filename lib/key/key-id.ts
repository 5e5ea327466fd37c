import { hash, timingSafeEqual } from 'node:crypto'
import { PAYLOAD_CELLS } from './cells.ts'
import { hmacKey, hmacTag } from './hkdf.ts'
import { lp, u64 } from './lp.ts'
import type { SecretKey } from './secret-key.ts'
import { endOf, isSuite, MAX_KEY_BYTES, type Selection } from './selection.ts'

/**
 * The key_ID as a sealed selection: the 122 free bits of a version-4 UUID hold 49 bits of encrypted selection and 73
 * bits of tag (a synthetic IV), under keys of the two KMSs and bound to both SAE IDs. Whoever has no key learns neither
 * index nor level nor consumption from it, and can't make one up.
 */

const FRAME_BYTES = 16
/** Where the tag's 73 bits and the ciphertext's 49 bits lie; version nibble and variant bits are in neither. */
const TAG_MASK = Buffer.from('ffffffffffff0fff3ffe000000000000', 'hex')
const CIPHER_MASK = Buffer.from('00000000000000000001ffffffffffff', 'hex')
const CANONICAL = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/
const BLOCK_BITS = 20n
const BLOCK_LOW_MASK = (1n << BLOCK_BITS) - 1n
const FRAME_FORMAT = 0x01

/** One epoch's keys for one direction of one pool. */
export interface SealKeys {
  readonly mac: SecretKey
  readonly enc: SecretKey
}

/** The two SAEs a key_ID is bound to; for multicast the first slave. */
export interface SaePair {
  readonly masterSaeId: string
  readonly slaveSaeId: string
}

/** What a key_ID decrypts to before anything is verified: the block only by its low 20 bits. */
export interface OpenedFrame {
  readonly suite: Selection['suite']
  readonly blockLow: number
  readonly offset: number
  readonly sizeBytes: number
  readonly tag: Buffer
}

/** The sealing keys of the keys that `issuerSiteId` issues from the pool in `epoch`, from that epoch's sealing root. */
export function deriveSealKeys(
  root: SecretKey,
  { poolId, issuerSiteId, epoch }: { poolId: Uint8Array; issuerSiteId: string; epoch: number },
): SealKeys {
  const context = lp(poolId, issuerSiteId, u64(epoch))
  return {
    mac: hmacKey('sha256', root, lp('qkdkit/1 seal mac', context)),
    enc: hmacKey('sha256', root, lp('qkdkit/1 seal enc', context)),
  }
}

/** The key_ID of a selection, as a lower-case UUID. */
export function sealKeyId(keys: SealKeys, pair: SaePair, selection: Selection): string {
  const tag = tagOf(keys, pair, selection)
  const frame = xorMasked(packFrame(selection), keystream(keys, tag), CIPHER_MASK)
  for (let i = 0; i < FRAME_BYTES; i++) frame[i]! |= tag[i]!
  frame[6]! |= 0x40
  frame[8]! |= 0x80
  const hex = frame.toString('hex')
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`
}

/** The key_ID in lower case if it has the form that we issue, otherwise undefined: any other ID is an unknown one. */
export function canonicalKeyId(keyId: string): string | undefined {
  const lower = keyId.toLowerCase()
  return CANONICAL.test(lower) ? lower : undefined
}

/**
 * Decrypts a canonical key_ID. The result is not verified: `verifyKeyId` does that once the full block number is known.
 * Undefined where the decrypted fields can't be a selection.
 */
export function openKeyId(keys: SealKeys, keyId: string): OpenedFrame | undefined {
  const frame = Buffer.from(keyId.replaceAll('-', ''), 'hex')
  const tag = masked(frame, TAG_MASK)
  const plain = xorMasked(masked(frame, CIPHER_MASK), keystream(keys, tag), CIPHER_MASK)
  const bits = plain.readBigUInt64BE(8) & ((1n << 49n) - 1n)
  const suite = Number(bits >> 45n)
  const blockLow = Number((bits >> 25n) & BLOCK_LOW_MASK)
  const offset = Number((bits >> 15n) & 0x3ffn)
  const sizeBytes = Number(bits & 0x7fffn) + 1
  if (!isSuite(suite) || sizeBytes > MAX_KEY_BYTES || endOf({ offset, sizeBytes }) > PAYLOAD_CELLS) return undefined
  return { suite, blockLow, offset, sizeBytes, tag }
}

/** True if the opened frame is that of a key issued from `block` to exactly this pair of SAEs. */
export function verifyKeyId(keys: SealKeys, pair: SaePair, opened: OpenedFrame, block: bigint): boolean {
  const expected = tagOf(keys, pair, { ...opened, block })
  return opened.blockLow === lowBlockBits(block) && timingSafeEqual(expected, opened.tag)
}

/** The low bits of a block number, as a selection carries them. */
export function lowBlockBits(block: bigint): number {
  return Number(block & BLOCK_LOW_MASK)
}

function tagOf(keys: SealKeys, pair: SaePair, selection: Selection): Buffer {
  const data = Buffer.alloc(32 + FRAME_BYTES)
  data.set(pairDigest(pair))
  data.writeUInt8(FRAME_FORMAT, 32)
  data.writeUInt8(selection.suite, 33)
  data.writeBigUInt64BE(selection.block, 34)
  data.writeUInt16BE(selection.offset, 42)
  data.writeUInt32BE(selection.sizeBytes, 44)
  return masked(hmacTag('sha256', keys.mac, data).subarray(0, FRAME_BYTES), TAG_MASK)
}

/** What was hashed last: mostly one pair comes after itself. The SAE IDs are no secret. */
let lastPair: { readonly pair: SaePair; readonly digest: Buffer } | undefined

function pairDigest({ masterSaeId, slaveSaeId }: SaePair): Buffer {
  if (lastPair?.pair.masterSaeId === masterSaeId && lastPair.pair.slaveSaeId === slaveSaeId) return lastPair.digest
  const digest = hash('sha256', lp(masterSaeId, slaveSaeId), 'buffer')
  lastPair = { pair: { masterSaeId, slaveSaeId }, digest }
  return digest
}

function keystream(keys: SealKeys, tag: Buffer): Buffer {
  return hmacTag('sha256', keys.enc, tag).subarray(0, FRAME_BYTES)
}

function packFrame({ suite, block, offset, sizeBytes }: Selection): Buffer {
  const bits =
    (BigInt(suite) << 45n) | ((block & BLOCK_LOW_MASK) << 25n) | (BigInt(offset) << 15n) | BigInt(sizeBytes - 1)
  const plain = Buffer.alloc(FRAME_BYTES)
  plain.writeBigUInt64BE(bits, 8)
  return plain
}

function masked(bytes: Uint8Array, mask: Buffer): Buffer {
  const result = Buffer.allocUnsafe(FRAME_BYTES)
  for (let i = 0; i < FRAME_BYTES; i += 1) result[i] = bytes[i]! & mask[i]!
  return result
}

function xorMasked(a: Uint8Array, b: Uint8Array, mask: Buffer): Buffer {
  const result = Buffer.allocUnsafe(FRAME_BYTES)
  for (let i = 0; i < FRAME_BYTES; i += 1) result[i] = (a[i]! ^ b[i]!) & mask[i]!
  return result
}
