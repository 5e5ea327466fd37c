import type { BlockRecord } from '../../../lib/interface/pool-store.ts'
import { BLOCK_BYTES } from '../../../lib/key/cells.ts'
import { lp, u64 } from '../../../lib/key/lp.ts'
import { SecretKey } from '../../../lib/key/secret-key.ts'
import { BlockLedger } from '../../../lib/kms/pool/block-ledger.ts'
import { pairIdentity } from '../../../lib/kms/pool/pair-secret.ts'
import { newBlockRecord } from '../../../lib/kms/store/block-record.ts'
import { MemorySlots } from '../../../lib/kms/store/memory-slots.ts'
import { MemoryPoolStore } from '../../../lib/kms/store/memory-store.ts'
import { TelemetryHub } from '../../../lib/telemetry.ts'
import { FaultPlan, withFaults } from '../../helpers/fault-store.ts'

/** The store of one site, with ledgers of its pools over it; what a ledger does not keep is what a crash loses. */
export class LedgerDisk {
  readonly store = new MemoryPoolStore()
  readonly slots = new MemorySlots()
  readonly faults = new FaultPlan()
  readonly alarms: string[] = []

  /** The pool with another site, as a start finds it. */
  ledger(remoteSiteId: string): Promise<BlockLedger> {
    const telemetry = new TelemetryHub()
    telemetry.subscribe(event => {
      if (event.type === 'alarm') this.alarms.push(event.id)
    })
    return BlockLedger.open({
      ...withFaults(this, this.faults),
      pair: pairIdentity('site-a', remoteSiteId),
      localSiteId: 'site-a',
      remoteSiteId,
      telemetry,
    })
  }

  /** True while the key of a block of the pool with site-b opens in that place. */
  async hasKey({ number, slot }: Pick<BlockRecord, 'number' | 'slot'>): Promise<boolean> {
    const context = lp('qkdkit/1 slot', 'block', pairIdentity('site-a', 'site-b').name, u64(number))
    return this.slots.read(slot, context).then(
      () => true,
      () => false,
    )
  }
}

/** Takes a block into a pool, in the state that is given; its row. */
export async function takeIn(
  ledger: BlockLedger,
  number: bigint,
  fields: Partial<BlockRecord> = {},
): Promise<BlockRecord> {
  const record = newBlockRecord({ number, ownerSiteId: 'site-a', trustClass: 'direct', relays: [], slot: -1 })
  await ledger.insert({ ...record, ...fields }, SecretKey.random(BLOCK_BYTES), { row: 2 })
  return ledger.block(number)!
}

/** First contact of a pool: its first pair secret. */
export async function begin(ledger: BlockLedger): Promise<void> {
  const fresh = { poolEpoch: ledger.pool.poolEpoch + 1, sealEpoch: 0, floor: 0n, peerCommits: 0, notes: [] }
  await ledger.reset({ ...fresh, root: SecretKey.random(64) })
}
