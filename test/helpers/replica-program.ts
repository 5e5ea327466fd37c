/**
 * One replica of a site as a process of its own: reserves cells, one after the other from each of some callers, whenever it
 * owns the site, and tells its parent of each that was acknowledged. Arguments: URL, directory, name.
 */
import type { BlockRecord, PoolStore } from '../../lib/interface/pool-store.ts'
import { blockRecord } from '../compliance/pool-store.ts'
import { openReplica } from './postgres-pools.ts'

const POOL = 'site-a|site-b'
const CELLS = 998
const CALLERS = 4

const [url, directory, replicaId] = process.argv.slice(2) as [string, string, string]
const replica = await openReplica(url, directory, { replicaId, address: replicaId, leaseMs: 1_000 })
const { election } = replica
let stopping = false
process.on('message', () => {
  stopping = true
})

while (!stopping) {
  const now = election.current()
  if (now.role !== 'owner') {
    await new Promise(resolve => setTimeout(resolve, 10))
    continue
  }
  const isOwner = () => {
    const later = election.current()
    return later.role === 'owner' && later.epoch === now.epoch
  }
  try {
    await using owned = await replica.openOwned(now.epoch)
    process.send!({ owner: replicaId, epoch: now.epoch })
    await Promise.all(
      Array.from({ length: CALLERS }, (_, at) => call(owned.store, `${replicaId}/${now.epoch}/${at}`, isOwner)),
    )
  } catch (error) {
    process.send!({ lost: (error as Error).message })
    replica.giveUp(now.epoch)
  }
}
await replica.close()
process.disconnect()

/** Reserves cell after cell until the site is another's, or the run is over. */
async function call(store: PoolStore, by: string, isOwner: () => boolean): Promise<void> {
  while (!stopping && isOwner()) {
    const begunNs = process.hrtime.bigint()
    const index = await reserve(store)
    if (index === undefined) continue
    const endedNs = process.hrtime.bigint()
    // As a site does before each answer.
    if (isOwner()) process.send!({ index, begunNs: String(begunNs), endedNs: String(endedNs), by })
  }
}

/** The next cell of the last block; undefined where another caller was faster. */
async function reserve(store: PoolStore): Promise<number | undefined> {
  const { blocks } = await store.snapshot(POOL)
  const last = blocks.at(-1)
  if (last === undefined || last.lease === CELLS) {
    const record: BlockRecord = { ...blockRecord((last?.number ?? 0n) + 1n), state: 'active' }
    await store.commit(POOL, [{ kind: 'insert', record, sealed: undefined, raiseFloor: true }])
    return undefined
  }
  const { number, lease: from, grant } = last
  const result = await store.commit(POOL, [{ kind: 'reserve', number, grant, from, cells: 1, limit: CELLS }])
  return result.ok ? Number(number) * CELLS + from : undefined
}
