import { monitorEventLoopDelay } from 'node:perf_hooks'
import { SecretKey } from '../../lib/key/secret-key.ts'
import { AuditFile } from '../../lib/kms/audit/audit-file.ts'
import { openStore } from '../../lib/kms/store/open-store.ts'
import { blockRecord } from '../compliance/pool-store.ts'

/** What a process says of a load on its store. */
export interface StallReport {
  /** Batches, slots and lines of the audit log that were written durably, one after the other. */
  readonly writes: number
  /** The longest that the event loop was held up meanwhile, and the 99th percentile, in milliseconds. */
  readonly longestMs: number
  readonly p99Ms: number
}

/** A process that writes to a store, its slots and an audit log in the directory of its argument whenever it is told how often. */
const directory = process.argv[2]!
const { store, slots } = await openStore({ path: `${directory}/store`, kek: { file: `${directory}/kek` } })
const audit = await AuditFile.open(`${directory}/audit`, { siteId: 'site-a' })
let number = 0n
process.on('message', async (rounds: number) => {
  const delay = monitorEventLoopDelay({ resolution: 1 })
  delay.enable()
  let writes = 0
  const work = async (write: () => Promise<unknown>) => {
    for (let round = 0; round < rounds; round++) {
      await write()
      writes += 1
    }
  }
  await Promise.all([work(commit), work(putSlot), work(() => audit.record({ event: 'issue', outcome: 'allowed' }))])
  delay.disable()
  const report: StallReport = { writes, longestMs: delay.max / 1e6, p99Ms: delay.percentile(99) / 1e6 }
  process.send!(report)
})
process.send!('open')

function commit() {
  const record = blockRecord(++number, { state: 'active' })
  return store.commit('a|b', [{ kind: 'insert', record, sealed: Buffer.alloc(32_000), raiseFloor: true }])
}

function putSlot() {
  return slots.put(SecretKey.random(32), Buffer.from('place'))
}
