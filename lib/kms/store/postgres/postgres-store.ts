import type { Change, CommitResult, PoolSnapshot, PoolStore } from '../../../interface/pool-store.ts'
import { u64 } from '../../../key/lp.ts'
import type { RowMac } from '../../../key/row-mac.ts'
import { applyChanges } from '../apply-changes.ts'
import { HeldPool } from './held-pool.ts'
import type { SiteWriter } from './site-writer.ts'

/**
 * The store that the replicas of a site share, as its owner sees it: pools in PostgreSQL. What is asked at the same time
 * goes in one round trip and one transaction; the rows are held in memory, which the fence of the writer makes safe.
 */
export class PostgresPoolStore implements PoolStore {
  readonly volatile = false
  readonly #siteId: string
  readonly #writer: SiteWriter
  readonly #mac: RowMac
  readonly #pools = new Map<string, HeldPool>()

  /** The writer stays the caller's. */
  constructor({ siteId, writer, mac }: { siteId: string; writer: SiteWriter; mac: RowMac }) {
    this.#siteId = siteId
    this.#writer = writer
    this.#mac = mac
  }

  async poolIds(): Promise<readonly string[]> {
    const rows = await this.#writer.query(
      `select pool_id from qkd_row where site_id = $1 and kind = 'pool' order by pool_id`,
      [this.#siteId],
    )
    return rows.map(({ pool_id: id }) => String(id))
  }

  snapshot(poolId: string): Promise<PoolSnapshot> {
    const held = this.#held(poolId)
    return this.#writer.run({
      needs: [held],
      prepare: () => ({ pool: held.pool(), blocks: held.blocks(), notes: held.notes() }),
    })
  }

  commit(poolId: string, changes: readonly Change[]): Promise<CommitResult> {
    const held = this.#held(poolId)
    return this.#writer.run({
      needs: [held],
      prepare: batch => {
        const applied = applyChanges(held, changes)
        if (!applied.ok) return applied
        held.write(applied.writes, batch)
        const { pool, blocks, notes } = applied.writes
        return { ok: true, pool, blocks, notes }
      },
    })
  }

  async readSealed(poolId: string, number: bigint): Promise<Uint8Array | undefined> {
    const [row] = await this.#writer.query(
      `select value from qkd_row where site_id = $1 and pool_id = $2 and kind = 'sealed' and name = $3`,
      [this.#siteId, poolId, u64(number)],
    )
    return row === undefined ? undefined : new Uint8Array(row.value as Buffer)
  }

  close(): Promise<void> {
    return this.#writer.close()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  #held(poolId: string): HeldPool {
    let held = this.#pools.get(poolId)
    if (held === undefined) {
      held = new HeldPool({ siteId: this.#siteId, poolId, mac: this.#mac })
      this.#pools.set(poolId, held)
    }
    return held
  }
}
