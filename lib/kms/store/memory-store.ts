import { ClosedError } from '../../errors.ts'
import type {
  BlockRecord,
  Change,
  CommitResult,
  PoolRecord,
  PoolSnapshot,
  PoolStore,
} from '../../interface/pool-store.ts'
import { applyChanges } from './apply-changes.ts'
import { newPoolRecord } from './block-record.ts'

interface MemoryPool {
  record: PoolRecord
  readonly blocks: Map<bigint, BlockRecord>
  readonly sealed: Map<bigint, Uint8Array>
}

/** A store that lives and dies with the process: for tests, demos and libraries that want no set-up. */
export class MemoryPoolStore implements PoolStore {
  readonly volatile = true
  readonly #pools = new Map<string, MemoryPool>()
  #closed = false

  async poolIds(): Promise<readonly string[]> {
    return [...this.#pools.keys()]
  }

  async snapshot(poolId: string): Promise<PoolSnapshot> {
    const pool = this.#open(poolId)
    const blocks = [...pool.blocks.values()].sort((a, b) => (a.number < b.number ? -1 : 1))
    return { pool: pool.record, blocks }
  }

  async commit(poolId: string, changes: readonly Change[]): Promise<CommitResult> {
    const pool = this.#open(poolId)
    const applied = applyChanges({ pool: () => pool.record, block: number => pool.blocks.get(number) }, changes)
    if (!applied.ok) return applied
    const { writes } = applied
    pool.record = writes.pool
    for (const [number, block] of writes.blocks) {
      if (block === undefined) pool.blocks.delete(number)
      else pool.blocks.set(number, block)
    }
    for (const [number, sealed] of writes.sealed) {
      if (sealed === undefined) pool.sealed.delete(number)
      else pool.sealed.set(number, Uint8Array.from(sealed))
    }
    return { ok: true, pool: writes.pool, blocks: writes.blocks }
  }

  async readSealed(poolId: string, number: bigint): Promise<Uint8Array | undefined> {
    const sealed = this.#open(poolId).sealed.get(number)
    return sealed === undefined ? undefined : Uint8Array.from(sealed)
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#pools.clear()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  #open(poolId: string): MemoryPool {
    if (this.#closed) throw new ClosedError('The pool store is closed')
    let pool = this.#pools.get(poolId)
    if (pool === undefined) {
      pool = { record: newPoolRecord(), blocks: new Map(), sealed: new Map() }
      this.#pools.set(poolId, pool)
    }
    return pool
  }
}
