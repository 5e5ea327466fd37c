import { expect } from 'chai'
import type { BlockLedger } from '../../../lib/kms/pool/block-ledger.ts'
import type { Lessee } from '../../../lib/kms/pool/lessee.ts'
import { Shredder } from '../../../lib/kms/pool/shredder.ts'
import { debugLogger } from '../../../lib/util/debug-logger.ts'
import { rejectsWith } from '../../helpers/rejects-with.ts'
import { LedgerDisk, takeIn } from './ledger-disk.ts'

const SPENT = [{ from: 0, to: 10 }]

describe('a key that could not be destroyed at its time', () => {
  it('of a block that was sealed anew goes with the next sweep', async () => {
    const disk = new LedgerDisk()
    const ledger = await disk.ledger('site-b')
    const before = await takeIn(ledger, 10n)
    disk.faults.failAt(2)
    expect(await ledger.reseal(before, SPENT)).to.equal(true)
    await shredderOf(ledger).sweep()
    expect(await disk.hasKey(before), 'the disk still fails').to.equal(true)
    disk.faults.mend()
    await shredderOf(ledger).sweep()
    expect(await disk.hasKey(before)).to.equal(false)
    ;(await ledger.open(before)).wipe()
  })

  it('of a block at its end goes with the next sweep, and its row before', async () => {
    const disk = new LedgerDisk()
    const ledger = await disk.ledger('site-b')
    const [drained, dropped] = [await takeIn(ledger, 10n, { state: 'ready' }), await takeIn(ledger, 11n)]
    for (const [row, block] of [
      [18, drained],
      [7, dropped],
    ] as const) {
      disk.faults.failAt(1)
      await rejectsWith(ledger.move(row, block), 'ERR_QKD_STORE')
      disk.faults.mend()
    }
    // The peer knows of the second, and nobody asks for it any more.
    await ledger.buryDead()
    await ledger.remove(11n)
    await shredderOf(ledger).sweep()
    expect([...ledger.blocks()]).to.deep.equal([])
    for (const block of [drained, dropped]) expect(await disk.hasKey(block)).to.equal(false)
  })

  for (const after of [false, true])
    it(`is the one that the store does not go by, where a seal ${after ? 'was written and' : 'was not written, and'} failed`, async () => {
      const disk = new LedgerDisk()
      const ledger = await disk.ledger('site-b')
      const before = await takeIn(ledger, 10n)
      disk.faults.failAt(1, { after })
      await rejectsWith(ledger.reseal(before, SPENT), 'ERR_QKD_STORE')
      disk.faults.mend()
      await shredderOf(ledger).sweep()
      ;(await ledger.open(before)).wipe()
      const now = ledger.block(10n)!
      expect(now.slot === before.slot).to.equal(!after)
      const places = await Promise.all([0, 1].map(slot => disk.hasKey({ number: 10n, slot })))
      expect(places.filter(isThere => isThere)).to.have.length(1)
      expect(await ledger.reseal(now, SPENT)).to.equal(true)
    })
})

function shredderOf(ledger: BlockLedger): Shredder {
  const lesseeOf = () => ({ storedBytesSpentBelow: () => 0 }) as unknown as Lessee
  return new Shredder({ ledger, lesseeOf, shredMs: 60_000, monotonicMs: () => 0, logger: debugLogger('kms') })
}
