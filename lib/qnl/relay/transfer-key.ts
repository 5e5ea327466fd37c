import type { TrustClass } from '../../interface/kms.ts'
import { BLOCK_BYTES } from '../../key/cells.ts'
import { joinSecrets } from '../../key/join.ts'
import { lp, u64 } from '../../key/lp.ts'
import { partOf } from '../../key/pad.ts'
import { POLY1305_KEY_BYTES, poly1305 } from '../../key/poly1305.ts'
import { SecretKey } from '../../key/secret-key.ts'

/** What travels for one block: the block, and the one-time keys of the two tags that confirm it. */
export const MATERIAL_BYTES = BLOCK_BYTES + 2 * POLY1305_KEY_BYTES
/** The smallest chunk that a block may be cut into. */
export const MIN_CHUNK_BYTES = 256
/** The tag where none is needed: a block of a link is the same at both ends by the link's own verification. */
export const NO_TAG = new Uint8Array(16)

/** What both ends must agree on besides the bytes. */
export interface TransferContext {
  readonly source: string
  readonly dest: string
  readonly transfer: bigint
  readonly split: boolean
  readonly relays: readonly string[]
  readonly weak: boolean
}

/** Fresh material for one block; the caller owns it. */
export function drawMaterial(): SecretKey {
  return SecretKey.random(MATERIAL_BYTES)
}

/** The block in the material; the caller owns it. */
export function blockIn(material: SecretKey): SecretKey {
  return partOf(material, 0, BLOCK_BYTES)
}

/**
 * The tag of one end over the block and its context: Poly1305 under a key that came with the block and serves once, so that
 * it tells nothing of the block to who has no share of it.
 */
export function transferTag(material: SecretKey, context: TransferContext, by: 'dest' | 'source'): Buffer {
  const { source, dest, transfer, split, relays, weak } = context
  const flags = `${split ? 'split' : 'whole'} ${weak ? 'weak' : 'strong'}`
  const words = lp('qkdkit/1 transfer', by, source, dest, u64(transfer), flags, ...relays)
  const key = partOf(material, BLOCK_BYTES + (by === 'dest' ? 0 : POLY1305_KEY_BYTES), POLY1305_KEY_BYTES)
  const block = blockIn(material)
  const tag = poly1305(key, [words, block])
  key.wipe()
  block.wipe()
  return tag
}

/** How a block is labelled: by the weakest thing on its way. */
export function trustClassOf({ split, relays, weak }: Pick<TransferContext, 'split' | 'relays' | 'weak'>): TrustClass {
  if (weak) return 'post-quantum'
  if (split) return 'split'
  return relays.length > 0 ? 'relayed' : 'direct'
}

/** Chunks of a material, and the one of that number; the caller owns the content. */
export function chunkOf(material: SecretKey, chunk: number, chunkBytes: number): SecretKey {
  const from = chunk * chunkBytes
  return partOf(material, from, Math.min(chunkBytes, material.sizeBytes - from))
}

/** How many chunks there are. */
export function chunkCount(chunkBytes: number): number {
  return Math.ceil(MATERIAL_BYTES / chunkBytes)
}

/** The material that the chunks make; they stay the caller's. */
export function joinChunks(chunks: readonly SecretKey[]): SecretKey {
  return joinSecrets(chunks)
}
