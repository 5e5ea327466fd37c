import { expect } from 'chai'
import type { SecretKey } from '../../../lib/key/secret-key.ts'
import { OpenBlocks } from '../../../lib/kms/pool/open-blocks.ts'
import { LedgerDisk, takeIn } from './ledger-disk.ts'

describe('OpenBlocks', () => {
  it('keeps the bytes of a block at hand, and wipes them when nobody has retrieved for a while', async () => {
    const ledger = await new LedgerDisk().ledger('site-b')
    const block = await takeIn(ledger, 10n)
    let nowMs = 0
    const open = new OpenBlocks(ledger, () => nowMs)
    const lent = () => open.with(block, async material => material)
    const sweepAt = async (ms: number) => {
      nowMs = ms
      open.sweep()
      await new Promise(setImmediate)
    }
    const first: SecretKey = await lent()
    await sweepAt(4999)
    expect(await lent()).to.equal(first)
    await sweepAt(9998)
    expect(first.wiped).to.equal(false)
    await sweepAt(9999)
    expect(first.wiped).to.equal(true)
    // Not under the eyes of who reads it.
    await open.with(block, async material => {
      await sweepAt(60_000)
      expect(material.wiped).to.equal(false)
    })
  })
})
