import type { TrustClass } from '../interface/kms.ts'
import { CELL_BYTES, PAYLOAD_CELLS, readCells } from './cells.ts'
import { hkdf } from './hkdf.ts'
import { lp, u64 } from './lp.ts'
import { POLY1305_KEY_BYTES, poly1305 } from './poly1305.ts'
import { bytesOf, SecretKey } from './secret-key.ts'

/** The last two cells of a block: never issued, they authenticate one later block of the same class. */
export const MAC_CELLS_BYTES = 2 * CELL_BYTES

/** What a block's tags cover besides its bytes. */
export interface TaggedBlock {
  readonly poolId: Uint8Array
  readonly number: bigint
  readonly trustClass: TrustClass
  readonly relays: readonly string[]
  readonly ownerSiteId: string
  readonly epoch: number
}

/** One tag a direction, so that neither side can answer with the other's. */
export interface BlockTags {
  readonly owner: Buffer
  readonly retriever: Buffer
}

/** The cells of a verified block that may authenticate another one. */
export function macCellsOf(material: SecretKey): SecretKey {
  return readCells(material, PAYLOAD_CELLS, MAC_CELLS_BYTES)
}

/**
 * One-time MACs of a block under keys from the pair secret, masked with cells of an earlier block where there are any:
 * then not even an unbounded relay that never saw those cells can forge one. A second pair of tags for the same block
 * under the same keys must be byte-identical.
 */
export function blockTags(
  root: SecretKey,
  macCells: SecretKey | undefined,
  block: TaggedBlock,
  material: SecretKey,
): BlockTags {
  const keys = hkdf(root, {
    hash: 'sha512',
    info: lp('qkdkit/1 tag', block.poolId, u64(block.number)),
    sizeBytes: MAC_CELLS_BYTES,
  })
  const bytes = bytesOf(keys)
  if (macCells !== undefined) {
    const mask = bytesOf(macCells)
    for (let i = 0; i < MAC_CELLS_BYTES; i++) bytes[i]! ^= mask[i]!
  }
  const tag = (direction: 'owner' | 'retriever', at: number) => {
    const key = SecretKey.copyOf(bytes.subarray(at, at + POLY1305_KEY_BYTES))
    try {
      return poly1305(key, [headerOf(block, direction, material.sizeBytes), material])
    } finally {
      key.wipe()
    }
  }
  try {
    return { owner: tag('owner', 0), retriever: tag('retriever', POLY1305_KEY_BYTES) }
  } finally {
    keys.wipe()
  }
}

function headerOf(block: TaggedBlock, direction: string, sizeBytes: number): Buffer {
  const { poolId, number, trustClass, relays, ownerSiteId, epoch } = block
  return lp(
    'qkdkit/1 block tag',
    poolId,
    u64(number),
    u64(sizeBytes),
    trustClass,
    lp(...relays),
    ownerSiteId,
    direction,
    u64(epoch),
  )
}
