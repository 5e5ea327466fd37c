import { StoreError } from '../../errors.ts'
import type { BlockRecord, PoolStore, SlotStore } from '../../interface/pool-store.ts'
import { lp, u64 } from '../../key/lp.ts'
import { openSecret, sealSecret } from '../../key/seal.ts'
import { SecretKey } from '../../key/secret-key.ts'

type BlockIdentity = Pick<BlockRecord, 'number' | 'trustClass'>

/**
 * Key material at rest: each block sealed under a key of its own, which lies wrapped in the slot store. Destroying the
 * slot destroys the block, wherever copies of its sealed form linger.
 */
export class BlockVault {
  readonly #store: PoolStore
  readonly #slots: SlotStore
  readonly #poolId: string

  constructor({ store, slots, poolId }: { store: PoolStore; slots: SlotStore; poolId: string }) {
    this.#store = store
    this.#slots = slots
    this.#poolId = poolId
  }

  /** Seals a block; its key is durable in its slot before this resolves. The material stays the caller's. */
  async seal(block: BlockIdentity, material: SecretKey): Promise<{ slot: number; sealed: Uint8Array }> {
    const key = SecretKey.random(32)
    try {
      const slot = await this.#slots.put(key, this.#slotContext(block))
      return { slot, sealed: sealSecret(key, material, this.#blockContext(block)) }
    } finally {
      key.wipe()
    }
  }

  /** The material of a block; the caller owns it. */
  async open(block: BlockIdentity & Pick<BlockRecord, 'slot'>): Promise<SecretKey> {
    const sealed = await this.#store.readSealed(this.#poolId, block.number)
    if (sealed === undefined) throw new StoreError(`The store has no material for block ${block.number}`)
    const key = await this.#slots.read(block.slot, this.#slotContext(block))
    try {
      return openSecret(key, sealed, this.#blockContext(block))
    } finally {
      key.wipe()
    }
  }

  /** Seals a secret that lies beside the blocks, under a name; its key is durable in its slot before this resolves. */
  async sealNamed(name: string, secret: SecretKey): Promise<{ slot: number; sealed: Uint8Array }> {
    const key = SecretKey.random(32)
    try {
      const slot = await this.#slots.put(key, this.#nameContext(name))
      return { slot, sealed: sealSecret(key, secret, this.#nameContext(name)) }
    } finally {
      key.wipe()
    }
  }

  /** What `sealNamed` sealed; the caller owns it. */
  async openNamed(name: string, { slot, sealed }: { slot: number; sealed: Uint8Array }): Promise<SecretKey> {
    const key = await this.#slots.read(slot, this.#nameContext(name))
    try {
      return openSecret(key, sealed, this.#nameContext(name))
    } finally {
      key.wipe()
    }
  }

  /** Destroys what lies in a place, durably, whatever it is. */
  async destroy(slot: number): Promise<void> {
    if (slot >= 0) await this.#slots.erase(slot)
  }

  /** Destroys a block's key, durably; a place that is another secret's by now stays as it is. */
  async destroyBlock({ number, slot }: Pick<BlockRecord, 'number' | 'slot'>): Promise<void> {
    if (slot >= 0) await this.#slots.erase(slot, this.#slotContext({ number }))
  }

  /** The same for what `sealNamed` keeps. */
  async destroyNamed(name: string, slot: number): Promise<void> {
    if (slot >= 0) await this.#slots.erase(slot, this.#nameContext(name))
  }

  /** The same for a pair secret. */
  async destroyRoot(slot: number): Promise<void> {
    if (slot >= 0) await this.#slots.erase(slot, this.#poolContext('root'))
  }

  /** The same for what an epoch's key_IDs are sealed under. */
  async destroySeal(slot: number): Promise<void> {
    if (slot >= 0) await this.#slots.erase(slot, this.#poolContext('seal'))
  }

  /** Keeps the pair secret of this pool; gives its slot. */
  putRoot(root: SecretKey): Promise<number> {
    return this.#slots.put(root, this.#poolContext('root'))
  }

  /** Keeps what an epoch's key_IDs are sealed under; gives its slot. */
  putSeal(secret: SecretKey): Promise<number> {
    return this.#slots.put(secret, this.#poolContext('seal'))
  }

  readSeal(slot: number): Promise<SecretKey> {
    return this.#slots.read(slot, this.#poolContext('seal'))
  }

  readRoot(slot: number): Promise<SecretKey> {
    return this.#slots.read(slot, this.#poolContext('root'))
  }

  #poolContext(kind: 'root' | 'seal'): Buffer {
    return lp('qkdkit/1 slot', kind, this.#poolId)
  }

  #nameContext(name: string): Buffer {
    return lp('qkdkit/1 named', this.#poolId, name)
  }

  #slotContext({ number }: Pick<BlockRecord, 'number'>): Buffer {
    return lp('qkdkit/1 slot', 'block', this.#poolId, u64(number))
  }

  #blockContext({ number, trustClass }: BlockIdentity): Buffer {
    return lp('qkdkit/1 block', this.#poolId, u64(number), trustClass)
  }
}
