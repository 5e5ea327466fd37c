import { expect } from 'chai'
import type { BlockRecord } from '../../../lib/interface/pool-store.ts'
import type { PeerBlock } from '../../../lib/kms/pool/peer-block.ts'
import { mergeStates } from '../../../lib/kms/pool/resync-merge.ts'
import { applyChanges } from '../../../lib/kms/store/apply-changes.ts'
import { countSet } from '../../../lib/kms/store/bitmap.ts'
import { newBlockRecord, newPoolRecord } from '../../../lib/kms/store/block-record.ts'

const siteIds = ['site-a', 'site-b'] as const

/** What becomes of one block of `site-a`, whose store was put back, once `site-b` has said what it knows. */
function merged(own: Partial<BlockRecord> | undefined, peer: Partial<PeerBlock> | undefined, floor = 0n) {
  const number = 8n
  const common = { number, ownerSiteId: 'site-a', trustClass: 'direct', relays: [], slot: 3 } as const
  const blocks = own === undefined ? [] : [newBlockRecord({ ...common, state: 'active', ...own })]
  const said: PeerBlock = { number, grant: 0, owner: 0, state: 'ready', lease: 0, horizon: 0, macSpent: false, ...peer }
  const peers = new Map(peer === undefined ? [] : [[number, said]])
  const pool = { ...newPoolRecord(), floor }
  const merge = mergeStates({ siteIds, localSiteId: 'site-a', blocks, floors: pool, peers })
  const rows = { pool: () => pool, block: () => blocks[0], note: () => undefined }
  const applied = applyChanges(rows, merge.changes)
  if (!applied.ok) throw new Error(`refused: ${applied.refusal}`)
  const after = applied.writes.blocks.has(number) ? applied.writes.blocks.get(number) : blocks[0]
  return { after, merge }
}

describe('mergeStates', () => {
  it('counts of an own block every cell as leased that the peer ever acknowledged', () => {
    expect(merged({ lease: 10 }, { horizon: 500 }).after).to.include({ state: 'active', lease: 500, macSpent: true })
    expect(merged({ lease: 510 }, { horizon: 500 }).after).to.include({ state: 'active', lease: 510 })
  })

  it("burns of the peer's block every cell that it ever put under lease, and remembers them as acknowledged", () => {
    const own = { ownerSiteId: 'site-b', state: 'ready', horizon: 10 } as const
    const { after, merge } = merged(own, { owner: 1, state: 'active', lease: 300 })
    expect(after).to.include({ state: 'ready', horizon: 300, macSpent: false })
    expect(countSet(after!.consumed, 0, 300)).to.equal(300)
    expect(countSet(after!.consumed, 300, 1000)).to.equal(0)
    expect(merge.lostCells).to.equal(300)
  })

  it('goes by the ownership of the higher grant, here or there', () => {
    const given = merged({}, { grant: 1, owner: 1, state: 'active', lease: 40 }).after!
    expect(given).to.include({ ownerSiteId: 'site-b', grant: 1, state: 'ready', horizon: 40 })
    expect(countSet(given.consumed, 0, 1000)).to.equal(40)
    const taken = merged({ ownerSiteId: 'site-b', state: 'ready' }, { grant: 1, horizon: 40 }).after
    expect(taken).to.include({ ownerSiteId: 'site-a', grant: 1, state: 'active', lease: 40 })
    // A grant on its way that the peer has not heard of yet.
    const onItsWay = merged({ ownerSiteId: 'site-b', grant: 1, state: 'ready' }, { grant: 0, owner: 0 }).after
    expect(onItsWay).to.include({ ownerSiteId: 'site-b', grant: 1, state: 'ready', horizon: 0 })
  })

  const gone: [string, Partial<BlockRecord>, Partial<PeerBlock> | undefined][] = [
    ['that the peer has no more', {}, undefined],
    ['that is not verified here', { state: 'received' }, { state: 'ready' }],
    ['that is not verified there', {}, { state: 'received' }],
    ['that the peer dropped', {}, { state: 'dropped' }],
    ['whose key is lost here', { slot: -1 }, {}],
    ['that both say is theirs', {}, { owner: 1, state: 'active' }],
    ['that the peer says is ours and issues from', {}, { state: 'active' }],
    ['that was granted although it was in use', { lease: 5 }, { grant: 1, owner: 1, state: 'active' }],
    [
      'that was granted although it had authenticated another',
      { macSpent: true },
      { grant: 1, owner: 1, state: 'active' },
    ],
  ]
  for (const [which, own, peer] of gone) {
    it(`drops a block ${which}`, () => {
      const { after, merge } = merged(own, peer)
      expect(after).to.include({ state: 'dropped' })
      expect(merge.kept).to.be.empty
      expect(merge.dropped).to.have.length(1)
    })
  }

  it('remembers as dropped what it does not know, unless the number is spent', () => {
    expect(merged(undefined, { grant: 2, owner: 0 }).after).to.include({ state: 'dropped', grant: 2, slot: -1 })
    expect(merged(undefined, { grant: 2 }, 8n).after).to.equal(undefined)
    expect(merged(undefined, { state: 'dropped' }).after).to.equal(undefined)
  })

  it('remembers no more blocks than a peer may make it keep', () => {
    const said: PeerBlock = { number: 0n, grant: 0, owner: 1, state: 'ready', lease: 0, horizon: 0, macSpent: false }
    const peers = new Map(Array.from({ length: 5000 }, (_, i) => [BigInt(i + 1), { ...said, number: BigInt(i + 1) }]))
    const pair = { siteIds, localSiteId: 'site-a', floors: newPoolRecord(), peers } as const
    expect(mergeStates({ ...pair, blocks: [] }).unknown).to.have.length(4096)
    const common = { ownerSiteId: 'site-b', trustClass: 'direct', relays: [], slot: -1, state: 'dropped' } as const
    const blocks = Array.from({ length: 4000 }, (_, i) => newBlockRecord({ number: BigInt(i + 9001), ...common }))
    expect(mergeStates({ ...pair, blocks }).unknown).to.have.length(96)
  })

  it('changes nothing the second time', () => {
    const { after } = merged({ lease: 10 }, { horizon: 500 })
    const again = merged(after, { horizon: 500 })
    expect(again.merge.changes).to.be.empty
    expect(again.after).to.deep.equal(after)
  })
})
