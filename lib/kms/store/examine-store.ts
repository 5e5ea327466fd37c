import type { BlockState, PoolStore, SlotStore } from '../../interface/pool-store.ts'
import { notedSecrets } from '../pool/note-slots.ts'
import { countSet } from './bitmap.ts'
import { BlockVault } from './block-vault.ts'

/** What a store holds of one pool, without any key. */
export interface PoolReport {
  readonly poolId: string
  readonly poolEpoch: number
  readonly sealEpoch: number
  /** Durable commits that changed the pool, and the most that were heard from the peer. */
  readonly commits: number
  readonly peerCommits: number
  /** True where the store was found older than what the peer had heard, and both have not begun anew yet. */
  readonly rolledBack: boolean
  /** No block of the network at or below this number is taken in again. */
  readonly floor: string
  /** Per owner: how many blocks stand in each state. */
  readonly blocks: Readonly<Record<string, Partial<Record<BlockState, number>>>>
  /** Cells that the owners have put under lease, and those that the retrievers have marked as spent. */
  readonly leasedCells: number
  readonly consumedCells: number
}

/** What opening everything in a store has shown. */
export interface StoreVerdict {
  readonly poolId: string
  /** Blocks whose material opened, and pair secrets. */
  readonly opened: number
  /** What did not: its name, and why. */
  readonly faults: readonly { readonly what: string; readonly reason: string }[]
}

/** What a store holds, pool by pool. */
export async function inspectStore(store: PoolStore): Promise<PoolReport[]> {
  const reports: PoolReport[] = []
  for (const poolId of await store.poolIds()) {
    const { pool, blocks } = await store.snapshot(poolId)
    const counts: Record<string, Partial<Record<BlockState, number>>> = {}
    let [leasedCells, consumedCells] = [0, 0]
    for (const { ownerSiteId, state, lease, consumed } of blocks) {
      const own = counts[ownerSiteId]
      counts[ownerSiteId] = { ...own, [state]: (own?.[state] ?? 0) + 1 }
      leasedCells += lease
      consumedCells += countSet(consumed, 0, 8 * consumed.byteLength)
    }
    const { poolEpoch, sealEpoch, commits, peerCommits, rolledBack, floor } = pool
    const state = { poolEpoch, sealEpoch, commits, peerCommits, rolledBack, floor: String(floor) }
    reports.push({ poolId, ...state, blocks: counts, leasedCells, consumedCells })
  }
  return reports
}

/** Opens every block and pair secret of a store, one after the other, and wipes it again. */
export async function verifyStore({ store, slots }: { store: PoolStore; slots: SlotStore }): Promise<StoreVerdict[]> {
  const verdicts: StoreVerdict[] = []
  for (const poolId of await store.poolIds()) {
    const { pool, blocks, notes } = await store.snapshot(poolId)
    const vault = new BlockVault({ store, slots, poolId })
    const faults: { what: string; reason: string }[] = []
    let opened = 0
    const check = async (what: string, open: () => Promise<{ wipe(): void }>) => {
      try {
        ;(await open()).wipe()
        opened += 1
      } catch (error) {
        faults.push({ what, reason: (error as Error).message })
      }
    }
    if (pool.rootSlot >= 0) await check('pair secret', () => vault.readRoot(pool.rootSlot))
    for (const [name, { value }] of notes)
      for (const { what, open } of notedSecrets(name, value)) await check(what, () => open(vault))
    for (const block of blocks) if (block.slot >= 0) await check(`block ${block.number}`, () => vault.open(block))
    verdicts.push({ poolId, opened, faults })
  }
  return verdicts
}
