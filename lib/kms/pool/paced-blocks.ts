import type { BlockRecord } from '../../interface/pool-store.ts'
import type { BlockLedger } from './block-ledger.ts'

/** Blocks of which may be spoken before what was said has to have gone out: the queue of a session is bounded. */
const TOGETHER = 256

/** All blocks of this moment, each as it is when its turn comes, with a pause now and then until `drained` resolves. */
export async function* pacedBlocks(ledger: BlockLedger, drained: () => Promise<void>): AsyncGenerator<BlockRecord> {
  const numbers = Array.from(ledger.blocks(), ({ number }) => number)
  for (const [at, number] of numbers.entries()) {
    if (at % TOGETHER === TOGETHER - 1) await drained()
    const block = ledger.block(number)
    if (block !== undefined) yield block
  }
}
