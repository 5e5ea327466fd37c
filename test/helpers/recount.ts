import { join } from 'node:path'
import { openStoreToRead } from '../../lib/kms/store/read-store.ts'
import { openOperatorClient } from '../../lib/operator-access.ts'
import type { SiteStatus } from '../../lib/site.ts'
import { until } from './until.ts'

/** Cells of a block that keys are made of. Written out here: a recount that shares the code's numbers shares its faults. */
const PAYLOAD_CELLS = 998
const VIRTUAL = 1n << 63n
const NO_BLOCKS = { received: 0, ready: 0, active: 0, drained: 0, dropped: 0 }

/** What is counted of a pool, by the site itself and from its files. */
interface PoolCounts {
  readonly blocks: Readonly<Record<string, number>>
  /** Cells that the site could put under lease yet. */
  readonly unleasedCells: number
}

/**
 * Counts the pools of a running site anew from its store, row by row, and compares with what the site says of itself. Both
 * move while blocks come, so the two must meet within the time of a wait.
 * @throws {Error} they don't: with both counts
 */
export async function expectStatusCounts(directory: string, siteId: string): Promise<void> {
  const path = join(directory, `${siteId}.store`)
  const store = await openStoreToRead({ path, kek: { file: join(directory, `${siteId}.kek`) } })
  const site = await openOperatorClient(join(directory, `${siteId}.json`))
  let last = ''
  try {
    const agrees = async () => {
      const said = await site.call<SiteStatus>('status', {}, { signal: AbortSignal.timeout(5000) })
      const pairs = said.pools.map(async pool => {
        const poolId = [siteId, pool.remoteSiteId].sort().join('|')
        const { blocks } = await store.snapshot(poolId)
        const told: PoolCounts = { blocks: pool.blocks, unleasedCells: pool.issuableCells - pool.leasedCells }
        return [told, recount(blocks, siteId)] as const
      })
      last = JSON.stringify(await Promise.all(pairs))
      return (JSON.parse(last) as [PoolCounts, PoolCounts][]).every(([told, counted]) => isSame(told, counted))
    }
    await until(agrees, `the counts of ${siteId} are those of its store`).catch(cause => {
      throw new Error(`${siteId} says one thing and its store another: ${last}`, { cause })
    })
  } finally {
    await store.close()
  }
}

interface CountedBlock {
  readonly number: bigint
  readonly ownerSiteId: string
  readonly state: string
  readonly lease: number
}

function recount(rows: readonly CountedBlock[], siteId: string): PoolCounts {
  const blocks: Record<string, number> = { ...NO_BLOCKS }
  let unleasedCells = 0
  for (const { number, ownerSiteId, state, lease } of rows) {
    if (number >= VIRTUAL) continue
    blocks[state] = (blocks[state] ?? 0) + 1
    if (state === 'active' && ownerSiteId === siteId) unleasedCells += PAYLOAD_CELLS - lease
  }
  return { blocks, unleasedCells }
}

function isSame(a: PoolCounts, b: PoolCounts): boolean {
  const states = new Set([...Object.keys(a.blocks), ...Object.keys(b.blocks)])
  return (
    a.unleasedCells === b.unleasedCells && [...states].every(state => (a.blocks[state] ?? 0) === (b.blocks[state] ?? 0))
  )
}
