import { expect } from 'chai'
import type { BlockRecord } from '../../../lib/interface/pool-store.ts'
import { BLOCK_BYTES } from '../../../lib/key/cells.ts'
import { SecretKey } from '../../../lib/key/secret-key.ts'
import { BlockLedger } from '../../../lib/kms/pool/block-ledger.ts'
import { BlockTagger } from '../../../lib/kms/pool/block-tagger.ts'
import { PairSecret, pairIdentity } from '../../../lib/kms/pool/pair-secret.ts'
import { newBlockRecord } from '../../../lib/kms/store/block-record.ts'
import { MemorySlots } from '../../../lib/kms/store/memory-slots.ts'
import { MemoryPoolStore } from '../../../lib/kms/store/memory-store.ts'
import { TelemetryHub } from '../../../lib/telemetry.ts'

const peer = { ownerSiteId: 'site-b' }

/** Site A with blocks of its own in these states, numbered from 2 in steps of 2. */
async function siteWith(...states: BlockRecord['state'][]) {
  const pair = pairIdentity('site-a', 'site-b')
  const ledger = await BlockLedger.open({
    store: new MemoryPoolStore(),
    slots: new MemorySlots(),
    pair,
    localSiteId: 'site-a',
    remoteSiteId: 'site-b',
    telemetry: new TelemetryHub(),
  })
  ledger.useSecret(new PairSecret(SecretKey.random(64), pair, { sealEpoch: 0 }))
  for (const [at, state] of states.entries()) {
    const number = BigInt(2 * at + 2)
    const fields = { number, ownerSiteId: 'site-a', trustClass: 'direct', relays: [], slot: -1 } as const
    await ledger.insert(newBlockRecord({ ...fields, state }), SecretKey.random(BLOCK_BYTES), { row: 2 })
  }
  return { ledger, tagger: new BlockTagger({ ledger, materialOf: () => undefined }) }
}

describe('BlockTagger', () => {
  it('names an own block whose last cells authenticate the tag, once', async () => {
    const { ledger, tagger } = await siteWith('active', 'received', 'received')
    const tagged = await tagger.tagOwn(ledger.block(4n)!)
    expect(tagged).to.include({ macBlock: 2n })
    expect(tagged!.tags).to.have.length(32)
    expect(ledger.block(2n)).to.include({ macSpent: true })
    expect(await tagger.tagOwn(ledger.block(6n)!)).to.include({ macBlock: 0n })
    expect(await tagger.tagOwn(tagged!)).to.equal(tagged)
  })

  it('names no block that was given to the peer while its cells were read', async () => {
    const { ledger, tagger } = await siteWith('active', 'active', 'received')
    const tagging = tagger.tagOwn(ledger.block(6n)!)
    expect(await ledger.give(ledger.block(2n)!, { row: 20, grant: 1, ...peer })).to.equal(true)
    expect(await tagging).to.equal(undefined)
    expect(ledger.block(2n)).to.include({ macSpent: false, state: 'ready', ...peer })
    expect(ledger.block(6n)!.tags).to.have.length(0)
    expect(await tagger.tagOwn(ledger.block(6n)!)).to.include({ macBlock: 4n })
  })

  it('leaves no block to be given to the peer whose cells it has named', async () => {
    const { ledger, tagger } = await siteWith('active', 'received')
    const chosen = ledger.block(2n)!
    await tagger.tagOwn(ledger.block(4n)!)
    expect(await ledger.give(chosen, { row: 20, grant: 1, ...peer })).to.equal(false)
    expect(ledger.block(2n)).to.include({ state: 'active', ownerSiteId: 'site-a' })
  })
})
