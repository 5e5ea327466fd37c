import { expect } from 'chai'
import type { LinkBlock } from '../../../lib/interface/link.ts'
import { PoolPair } from '../../helpers/pool-pair.ts'
import { until } from '../../helpers/until.ts'

const pair = { masterSaeId: 'alice', slaveSaeId: 'bob' }
const TARGET = 4

describe('blocks that only one side was given', function () {
  this.timeout(60_000)

  it('do not keep that side from drawing the next ones, which both get', async () => {
    let drawn = () => 0
    // A network that goes on for the second side only when the first has taken more than it lost.
    const tamper = (block: LinkBlock) => {
      if (drawn() > TARGET) return block
      block.secret.wipe()
      return undefined
    }
    await using sites = await PoolPair.open({ tamper, limits: { targetBlocks: TARGET } })
    const [a, b] = sites.sites
    let most = 0
    drawn = () => {
      most = Math.max(most, a.pool.status().blocks.received)
      return most
    }
    sites.connect()
    await until(() => a.pool.status().blocks.received === TARGET, 'the first side is full of them')
    const startMs = a.clock.ms
    await until(
      () => {
        sites.advance(25)
        return a.pool.status().issuableCells > 0
      },
      'there are blocks that both have',
      { timeoutMs: 25_000 },
    )
    expect(a.clock.ms - startMs, 'far from the minute after which a block is given up').to.be.below(40_000)
    const [key] = await a.pool.issue({ pair, number: 1, sizeBytes: 32, suite: 2, waitMs: 8000 })
    expect(await b.pool.retrieve(pair, [key!.keyId], { waitMs: 8000 })).to.have.length(1)
  })
})
