/** Opens the store in the directory that its argument names, as a site's start does, and tells its parent what it took. */
import { readFileSync } from 'node:fs'
import { BLOCK_CELLS } from '../../lib/key/cells.ts'
import { BlockLedger } from '../../lib/kms/pool/block-ledger.ts'
import { pairIdentity } from '../../lib/kms/pool/pair-secret.ts'
import { TelemetryHub } from '../../lib/telemetry.ts'
import type { OpenedStore } from './large-stores.ts'
import { openLmdbKeep } from './stocked-pools.ts'

const directory = process.argv[2]!
const before = ownBytes()
const start = performance.now()
const { store, slots, close } = await openLmdbKeep(directory)
const ledger = await BlockLedger.open({
  store,
  slots,
  pair: pairIdentity('site-a', 'site-b'),
  localSiteId: 'site-a',
  remoteSiteId: 'site-b',
  telemetry: new TelemetryHub(),
})
const ms = performance.now() - start
const opened: OpenedStore = {
  ms,
  ownBytes: ownBytes() - before,
  cells: [...ledger.blocks()].length * BLOCK_CELLS,
}
process.send!(opened)
await close()
process.disconnect()

/** Memory of this process alone, in bytes: not the pages of LMDB's file, which the system can drop at any time. */
function ownBytes(): number {
  return Number(/^RssAnon:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8'))![1]) * 1024
}
