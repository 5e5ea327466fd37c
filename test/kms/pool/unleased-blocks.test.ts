import { expect } from 'chai'
import type { BlockRecord } from '../../../lib/interface/pool-store.ts'
import { UnleasedBlocks } from '../../../lib/kms/pool/unleased-blocks.ts'
import { newBlockRecord } from '../../../lib/kms/store/block-record.ts'

const block = (number: bigint, patch: Partial<BlockRecord> = {}): BlockRecord => ({
  ...newBlockRecord({ number, ownerSiteId: 'site-a', trustClass: 'direct', relays: [], slot: 1 }),
  state: 'active',
  ...patch,
})

describe('UnleasedBlocks', () => {
  it('counts the cells of own active blocks that are not under lease, by kind and class', () => {
    const unleased = new UnleasedBlocks('site-a')
    unleased.set(block(1n))
    unleased.set(block(2n, { lease: 98, trustClass: 'relayed' }))
    unleased.set(block(3n, { ownerSiteId: 'site-b' }))
    unleased.set(block(4n, { state: 'received' }))
    unleased.set(block(5n, { lease: 998 }))
    unleased.set(block((1n << 63n) | 1n, { lease: 990 }))
    expect(unleased.cells('network')).to.equal(998 + 900)
    expect(unleased.cells('network', ['relayed', 'split'])).to.equal(900)
    expect(unleased.cells('expanded')).to.equal(8)
    expect([...unleased.blocks('network')].map(({ number }) => number)).to.have.members([1n, 2n])
  })

  it('follows a row through its leases to its end', () => {
    const unleased = new UnleasedBlocks('site-a')
    unleased.set(block(1n, { state: 'received' }))
    expect(unleased.cells('network')).to.equal(0)
    unleased.set(block(1n))
    unleased.set(block(1n, { lease: 500 }))
    expect(unleased.cells('network')).to.equal(498)
    unleased.set(block(1n, { lease: 500, ownerSiteId: 'site-b' }))
    expect(unleased.cells('network')).to.equal(0)
    unleased.set(block(1n, { lease: 500 }))
    unleased.delete(1n)
    unleased.delete(1n)
    expect(unleased.cells('network')).to.equal(0)
    expect([...unleased.blocks('network')]).to.deep.equal([])
  })
})
