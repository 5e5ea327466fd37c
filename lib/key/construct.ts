import { createHash } from 'node:crypto'
import { InvalidArgumentError, StoreError } from '../errors.ts'
import type { TrustClass } from '../interface/kms.ts'
import { BLOCK_BYTES, CELL_BYTES, readCells } from './cells.ts'
import { hkdfExpand, hmacKey } from './hkdf.ts'
import { joinSecrets } from './join.ts'
import type { SaePair } from './key-id.ts'
import { lp, u64 } from './lp.ts'
import { bytesOf, SecretKey } from './secret-key.ts'
import { MAX_KEY_BYTES, type Selection, type Suite } from './selection.ts'

/**
 * How the key of a selection is made from what the pool holds at its place. Both sides call this with the same selection, so
 * what is derived is bound to everything that names the key: no two selections share a mask or a context.
 */

/** Everything that names one key: two keys never have the same context. */
export interface KeyContext {
  /** Both site IDs, as the pair writes them. */
  readonly poolId: Uint8Array
  readonly issuerSiteId: string
  readonly pair: SaePair
  readonly trustClass: TrustClass
  readonly selection: Selection
}

/** What a block holds besides its cells for hybrid keys: a secret of the two sites that no relay has seen. */
export const BLOCK_SECRET_BYTES = 64

/** Largest key by XOR with a mask: what one HKDF gives. */
export const MAX_HYBRID_XOR_BYTES = 255 * 64

/** Largest key by the KDF over both secrets: more than its hash gives would be expansion. */
export const MAX_HYBRID_KDF_BYTES = 64

/** The largest key of a suite, in bytes. */
export function maxKeyBytes(suite: Suite): number {
  if (suite === 3) return MAX_HYBRID_XOR_BYTES
  return suite === 4 ? MAX_HYBRID_KDF_BYTES : MAX_KEY_BYTES
}

/** What is stored of a block: its cells, then its share of the sites' post-quantum secret. The parts stay the caller's. */
export function withBlockSecret(cells: SecretKey, blockSecret: SecretKey): SecretKey {
  return joinSecrets([cells, blockSecret])
}

/**
 * The key of a selection, from the material of its block as `withBlockSecret` makes it. The caller owns the result.
 * @throws {StoreError} a cell of it was wiped, or the block was stored without its secret
 */
export function keyOf(material: SecretKey, context: KeyContext): SecretKey {
  const { suite, offset, sizeBytes } = context.selection
  // The cells of a virtual block were derived when it was opened; here they are cells like any others.
  if (suite !== 3 && suite !== 4) return readCells(material, offset, sizeBytes)
  const cells = readCells(material, offset, suite === 4 ? wholeCellBytes(sizeBytes) : sizeBytes)
  const blockSecret = blockSecretOf(material)
  try {
    return (suite === 3 ? hybridByXor : hybridByKdf)(cells, blockSecret, context)
  } finally {
    cells.wipe()
    blockSecret.wipe()
  }
}

function blockSecretOf(material: SecretKey): SecretKey {
  if (material.sizeBytes !== BLOCK_BYTES + BLOCK_SECRET_BYTES)
    throw new StoreError('The block has no secret of its own')
  return SecretKey.copyOf(bytesOf(material).subarray(BLOCK_BYTES))
}

/**
 * The block's share of the sites' post-quantum secret, taken from the pair's root when the block is verified and kept,
 * sealed, with the block: the root may move on, and what is shredded with the block can't be made again.
 */
export function deriveBlockSecret(
  root: SecretKey,
  { poolId, block, trustClass, epoch }: { poolId: Uint8Array; block: bigint; trustClass: TrustClass; epoch: number },
): SecretKey {
  return hmacKey('sha512', root, lp('pq block', poolId, u64(block), trustClass, u64(epoch)))
}

/**
 * A key of suite 3, the default of level `hybrid`: the cells XOR a mask made for this key alone. As uniform as the cells where
 * those are unknown, whatever becomes of ML-KEM; as good as the PRF where the block secret is unknown, even for cells that
 * a relay chose. The caller owns both inputs and the result.
 */
export function hybridByXor(cells: SecretKey, blockSecret: SecretKey, context: KeyContext): SecretKey {
  requireSize(cells.sizeBytes, MAX_HYBRID_XOR_BYTES)
  const info = Buffer.concat([lp('pq mask'), encodeContext(context)])
  const mask = hkdfExpand(blockSecret, { hash: 'sha512', info, sizeBytes: cells.sizeBytes })
  try {
    const [a, b] = [bytesOf(cells), bytesOf(mask)]
    const key = Buffer.allocUnsafeSlow(a.byteLength)
    for (let at = 0; at < key.byteLength; at += 1) key[at] = a[at]! ^ b[at]!
    return SecretKey.adopt(key)
  } finally {
    mask.wipe()
  }
}

/**
 * A key of suite 4: extract, then expand, over the whole cells and the block secret. Secret as long as one of the two is and
 * HMAC-SHA-512 is a PRF in either input; never as good as the cells alone against unbounded computation.
 * `wholeCells` are the 1 or 2 cells that the key takes. The caller owns both inputs and the result.
 */
export function hybridByKdf(wholeCells: SecretKey, blockSecret: SecretKey, context: KeyContext): SecretKey {
  const { sizeBytes } = context.selection
  requireSize(sizeBytes, MAX_HYBRID_KDF_BYTES)
  const encoded = encodeContext(context)
  const extractInput = joinSecrets([
    SecretKey.copyOf(Uint8Array.of(1)),
    blockSecret,
    SecretKey.adopt(createHash('sha512').update(encoded).digest()),
  ])
  const prk = hmacKey('sha512', wholeCells, bytesOf(extractInput))
  extractInput.wipe()
  try {
    const info = Buffer.concat([Buffer.from('hybrid-kdf'), encoded])
    return hkdfExpand(prk, { hash: 'sha512', info, sizeBytes })
  } finally {
    prk.wipe()
  }
}

function wholeCellBytes(sizeBytes: number): number {
  return Math.ceil(sizeBytes / CELL_BYTES) * CELL_BYTES
}

function encodeContext({ poolId, issuerSiteId, pair, trustClass, selection }: KeyContext): Buffer {
  const { suite, block, offset, sizeBytes } = selection
  const numbers = Buffer.alloc(7)
  numbers.writeUInt8(suite, 0)
  numbers.writeUInt16BE(offset, 1)
  numbers.writeUInt32BE(sizeBytes, 3)
  const [suiteField, offsetField, sizeField] = [numbers.subarray(0, 1), numbers.subarray(1, 3), numbers.subarray(3)]
  return lp(
    'qkdkit/1',
    suiteField,
    poolId,
    issuerSiteId,
    u64(block),
    offsetField,
    sizeField,
    pair.masterSaeId,
    pair.slaveSaeId,
    trustClass,
  )
}

function requireSize(sizeBytes: number, maxBytes: number): void {
  if (sizeBytes > maxBytes) throw new InvalidArgumentError(`This kind of key has at most ${maxBytes * 8} bits`)
}
