import { ClosedError } from '../../errors.ts'
import type {
  BlockRecord,
  Change,
  CommitResult,
  PoolNote,
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
  readonly notes: Map<string, PoolNote>
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
    return { pool: pool.record, blocks, notes: new Map(pool.notes) }
  }

  async commit(poolId: string, changes: readonly Change[]): Promise<CommitResult> {
    const pool = this.#open(poolId)
    const rows = {
      pool: () => pool.record,
      block: (number: bigint) => pool.blocks.get(number),
      note: (name: string) => pool.notes.get(name),
    }
    const applied = applyChanges(rows, changes)
    if (!applied.ok) return applied
    const { writes } = applied
    pool.record = writes.pool
    for (const [number, block] of writes.blocks) {
      if (block === undefined) pool.blocks.delete(number)
      else pool.blocks.set(number, block)
    }
    for (const [number, sealed] of writes.sealed) {
      if (sealed === undefined) pool.sealed.delete(number)
      else pool.sealed.set(number, new Uint8Array(sealed))
    }
    for (const [name, note] of writes.notes) {
      if (note === undefined) pool.notes.delete(name)
      else pool.notes.set(name, note)
    }
    return { ok: true, pool: writes.pool, blocks: writes.blocks, notes: writes.notes }
  }

  async readSealed(poolId: string, number: bigint): Promise<Uint8Array | undefined> {
    const sealed = this.#open(poolId).sealed.get(number)
    return sealed === undefined ? undefined : new Uint8Array(sealed)
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
      pool = { record: newPoolRecord(), blocks: new Map(), sealed: new Map(), notes: new Map() }
      this.#pools.set(poolId, pool)
    }
    return pool
  }
}
