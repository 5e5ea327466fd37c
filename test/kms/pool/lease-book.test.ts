import { expect } from 'chai'
import { BLOCK_BYTES } from '../../../lib/key/cells.ts'
import { SecretKey } from '../../../lib/key/secret-key.ts'
import { LeaseBook } from '../../../lib/kms/pool/lease-book.ts'
import { alteredChannel } from '../../helpers/altered-channel.ts'
import { PoolPair } from '../../helpers/pool-pair.ts'
import { until } from '../../helpers/until.ts'

const pair = { masterSaeId: 'alice', slaveSaeId: 'bob' }
const block = 1n

/** A book with a lease on the first `cells` of a block, until the moment 60. */
function leased(cells: number): LeaseBook {
  const book = new LeaseBook()
  book.add(block, 0, cells, 60, SecretKey.random(BLOCK_BYTES))
  return book
}

describe('LeaseBook', () => {
  it('gives back what was taken to where it came from, in any order', () => {
    const book = leased(30)
    const places = [1, 2, 3].map(() => book.take(10, 0)!)
    expect(book.take(1, 0)).to.equal(undefined)
    for (const at of [1, 0, 2]) expect(book.giveBack(places[at]!)).to.equal(true)
    expect(book.giveBack(places[0]!)).to.equal(false)
    expect(book.cells).to.equal(30)
    expect(book.expiring(61)).to.deep.equal([{ block, from: 0, to: 30 }])
    expect(book.take(30, 0)).to.include({ offset: 0, deadlineMs: 60 })
  })

  it('keeps the deadline of cells that are given back behind a renewal', () => {
    const book = leased(30)
    const taken = book.take(10, 0)!
    book.renew(block, 10, 30, 110)
    book.giveBack(taken)
    expect(book.take(1, 59)).to.include({ offset: 0, deadlineMs: 60 })
    expect(book.take(1, 60)).to.include({ offset: 10, deadlineMs: 110 })
  })

  it('renews what lies where the renewal was asked for, and not what was given back meanwhile', () => {
    const book = leased(30)
    const taken = book.take(10, 0)!
    const [asked] = book.expiring(61)
    expect(asked).to.deep.equal({ block, from: 10, to: 30 })
    book.giveBack(taken)
    book.renew(block, asked!.from, asked!.to, 110)
    expect(book.cells).to.equal(30)
    expect(book.expiring(61)).to.deep.equal([{ block, from: 0, to: 10 }])
    expect(book.expiring(111)).to.deep.equal([
      { block, from: 0, to: 10 },
      { block, from: 10, to: 30 },
    ])
    expect(book.take(10, 60)).to.include({ offset: 10, deadlineMs: 110 })
  })

  it('leases on behind what was given back, and strikes each piece at its own deadline', () => {
    const book = leased(30)
    const taken = book.take(10, 0)!
    book.renew(block, 10, 30, 110)
    book.giveBack(taken)
    book.add(block, 30, 40, 120, SecretKey.random(BLOCK_BYTES))
    expect(book.cells).to.equal(40)
    expect(book.sweep(60, { maxBlocks: 1 })).to.deep.equal({ burnedCells: 10, closed: [] })
    expect(book.take(30, 60)).to.include({ offset: 10, deadlineMs: 110 })
    expect(book.sweep(110, { maxBlocks: 1 })).to.deep.equal({ burnedCells: 0, closed: [] })
  })
})

describe('a request that is refused while its lease is renewed', () => {
  it('leaves no cells behind that the peer has let go already', async () => {
    await using sites = await PoolPair.open({ limits: { lifetimeMs: 10_000 } })
    let renewed = 0
    sites.connect(channel =>
      alteredChannel(channel, message => {
        if (message.name === 'renew') renewed += 1
        return message
      }),
    )
    const [a, b] = sites.sites
    const request = { pair, number: 1, sizeBytes: 32, suite: 2 as const, waitMs: 5000 }
    await a.pool.issue(request)
    await until(() => a.pool.status().leasedCells >= 8, 'more is under lease')
    let refuse!: (why: Error) => void
    const audit = () => new Promise<void>((_, reject) => (refuse = reject))
    const refused = a.pool.issue({ ...request, number: 3, audit }).catch((error: Error) => error.message)
    await until(() => refuse !== undefined, 'the request is about to be written')
    // The last ten seconds of the lease: its rest is renewed.
    sites.advance(51_000)
    await until(() => renewed > 0, 'the rest of the lease is renewed')
    refuse(new Error('the audit log is full'))
    expect(await refused).to.equal('the audit log is full')
    sites.advance(30_000)
    const [key] = await a.pool.issue(request)
    const [same] = await b.pool.retrieve(pair, [key!.keyId], { waitMs: 5000 })
    expect(same!.secret.equals(key!.secret)).to.equal(true)
  })
})
