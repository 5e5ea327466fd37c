import { createHash } from 'node:crypto'
import type { PoolStore } from '../../lib/interface/pool-store.ts'
import { exportKey } from '../../lib/key/export-key.ts'
import { SecretKey } from '../../lib/key/secret-key.ts'
import { BlockVault } from '../../lib/kms/store/block-vault.ts'
import { type OpenStore, openStore, type StorePlace } from '../../lib/kms/store/open-store.ts'
import { blockRecord } from '../compliance/pool-store.ts'

/** What the process is told: where a store lies, and how many blocks to put in before all is read. */
export interface ReadOrder {
  readonly place: StorePlace
  readonly fill?: number
}

const POOL = 'site-a|site-b'

/** A process that reads all there is in one store after the other, and says it a line each: rows in words, material as a digest. */
process.on('message', async ({ place, fill = 0 }: ReadOrder) => {
  process.send!(await examine(place, fill).catch((error: Error) => `refused: ${error.message}`))
})

async function examine(place: StorePlace, blocks: number): Promise<string> {
  const { store, slots, marks } = await openStore(place)
  try {
    for (let at = 1; at <= blocks; at++) await put({ store, slots }, at)
    const lines: string[] = []
    for (const poolId of await store.poolIds()) {
      const { poolEpoch, commits } = (await store.snapshot(poolId)).pool
      if (blocks > 0) marks.note(poolId, { poolEpoch, commits, isWhole: true })
      lines.push(`${poolId} ${JSON.stringify(marks.read(poolId))}`)
      lines.push(...(await readPool({ store, slots }, poolId)))
    }
    return lines.join('\n')
  } finally {
    await marks.close()
    await slots.close()
    await store.close()
  }
}

async function put({ store, slots }: Pick<OpenStore, 'store' | 'slots'>, at: number): Promise<void> {
  const block = { number: BigInt(at), trustClass: 'direct' as const }
  const { slot, sealed } = await new BlockVault({ store, slots, poolId: POOL }).seal(block, SecretKey.random(32_000))
  const state = at % 2 === 0 ? ('active' as const) : ('ready' as const)
  const marks = { lease: 10, horizon: 10, consumed: new Uint8Array(125).fill(at) }
  const record = blockRecord(block.number, { state, slot, ...marks })
  await store.commit(POOL, [{ kind: 'insert', record, sealed, raiseFloor: true }])
}

async function readPool({ store, slots }: { store: PoolStore; slots: OpenStore['slots'] }, poolId: string) {
  const { pool, blocks } = await store.snapshot(poolId)
  const vault = new BlockVault({ store, slots, poolId })
  const lines = [`${poolId} ${JSON.stringify(pool, plain)}`]
  for (const block of blocks) {
    lines.push(JSON.stringify(block, plain))
    const material = await vault.open(block).catch((error: Error) => `refused: ${error.message}`)
    if (typeof material === 'string') lines.push(material)
    else lines.push(`${block.number} ${createHash('sha256').update(exportKey(material)).digest('hex')}`)
  }
  return lines
}

function plain(_: string, value: unknown): unknown {
  if (typeof value === 'bigint') return String(value)
  return value instanceof Uint8Array ? Buffer.from(value).toString('hex') : value
}
