import { join } from 'node:path'
import { createMemoryChannelPair } from '../../lib/channel/memory-channel.ts'
import type { Key } from '../../lib/interface/kms.ts'
import type { PoolStore, SlotStore } from '../../lib/interface/pool-store.ts'
import { BLOCK_CELLS } from '../../lib/key/cells.ts'
import { KeyPool } from '../../lib/kms/pool/key-pool.ts'
import { MemorySlots } from '../../lib/kms/store/memory-slots.ts'
import { MemoryPoolStore } from '../../lib/kms/store/memory-store.ts'
import { openStore } from '../../lib/kms/store/open-store.ts'
import { TelemetryHub } from '../../lib/telemetry.ts'
import { delay } from '../../lib/util/deadline.ts'
import { debugLogger } from '../../lib/util/debug-logger.ts'
import { BlockSource } from './block-source.ts'

const SITE_IDS = ['site-a', 'site-b'] as const
const PAIR = { masterSaeId: 'alice', slaveSaeId: 'bob' }

/** What a pool is kept in. */
export interface Keep {
  readonly store: PoolStore
  readonly slots: SlotStore
  close(): Promise<void>
}

/** How each kind of store is opened for one site, in a directory of its own. */
export type OpenKeep = (directory: string) => Promise<Keep>

/** A keep in memory: what is left is the cost of the pool alone. */
export const openMemoryKeep: OpenKeep = async () => ({
  store: new MemoryPoolStore(),
  slots: new MemorySlots(),
  close: async () => {},
})

/** The embedded store with its slot file, as a site opens it. */
export const openLmdbKeep: OpenKeep = async directory => {
  const { store, slots } = await openStore({ path: join(directory, 'store'), kek: { file: join(directory, 'kek') } })
  return {
    store,
    slots,
    close: async () => {
      await store.close()
      await slots.close()
    },
  }
}

/**
 * The pools of two sites in one process, each over a store of its own, filled as fast as they take blocks. So each figure
 * has the work of both sites in it.
 */
export class StockedPools implements AsyncDisposable {
  /** How long it took until all blocks could be used, in milliseconds. */
  readonly fillMs: number
  readonly #pools: readonly [KeyPool, KeyPool]
  readonly #keeps: readonly Keep[]

  private constructor(pools: readonly [KeyPool, KeyPool], keeps: readonly Keep[], fillMs: number) {
    this.#pools = pools
    this.#keeps = keeps
    this.fillMs = fillMs
  }

  static async fill(
    openKeep: OpenKeep,
    { directory, blocks }: { directory: string; blocks: number },
  ): Promise<StockedPools> {
    const source = new BlockSource(SITE_IDS, blocks)
    const keeps = [await openKeep(join(directory, 'a')), await openKeep(join(directory, 'b'))] as const
    const openPool = (side: 0 | 1) =>
      KeyPool.open({
        localSiteId: SITE_IDS[side],
        remoteSiteId: SITE_IDS[1 - side]!,
        store: keeps[side].store,
        slots: keeps[side].slots,
        qnl: source.end(side),
        limits: {
          targetBlocks: blocks,
          minBlocks: blocks,
          lifetimeMs: 600_000,
          maxWaitMs: 10_000,
          shredMs: 60_000,
          demandBps: 1e9,
        },
        telemetry: new TelemetryHub(),
        logger: debugLogger('kms'),
      })
    const pools = [await openPool(0), await openPool(1)] as const
    const start = performance.now()
    const [one, two] = createMemoryChannelPair(['kme-a', 'kme-b'])
    void pools[0].attach(one)
    void pools[1].attach(two)
    const active = () => pools.reduce((sum, pool) => sum + pool.status().blocks.active, 0)
    while (active() < blocks) await delay(1)
    return new StockedPools(pools, keeps, performance.now() - start)
  }

  get cells(): number {
    return this.#pools.reduce((sum, pool) => sum + pool.status().blocks.active, 0) * BLOCK_CELLS
  }

  /** One key of 256 bits for Alice; its lease is durable at both sites before. */
  async issue(): Promise<Key> {
    const [key] = await this.#pools[0].issue({ pair: PAIR, number: 1, sizeBytes: 32, suite: 2, waitMs: 10_000 })
    return key!
  }

  /** The same key for Bob; that it went out is durable before. */
  async retrieve(keyId: string): Promise<void> {
    const [key] = await this.#pools[1].retrieve(PAIR, [keyId], { waitMs: 10_000 })
    key!.secret.wipe()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#pools.map(pool => pool.close()))
    for (const keep of this.#keeps) await keep.close()
  }
}
