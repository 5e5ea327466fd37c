import { join } from 'node:path'
import { expect } from 'chai'
import type { QnlBlock } from '../../../lib/interface/qnl.ts'
import { SecretKey } from '../../../lib/key/secret-key.ts'
import { FileLinkStock } from '../../../lib/qnl/relay/file-link-stock.ts'
import { createRelayNetwork, type RelayNetwork } from '../../helpers/relay-network.ts'
import { createTempDir } from '../../helpers/temp-dir.ts'
import { until } from '../../helpers/until.ts'

const patience = () => ({ signal: AbortSignal.timeout(20_000) })

/** Takes as many blocks at both ends and matches them by number; none is left over. */
async function matchBlocks(network: RelayNetwork, a: string, b: string, count: number): Promise<QnlBlock[]> {
  const take = async (at: string, from: string) => {
    const blocks: QnlBlock[] = []
    while (blocks.length < count) blocks.push(await network.node(at).nextBlock(from, patience()))
    return blocks
  }
  const [ours, theirs] = await Promise.all([take(a, b), take(b, a)])
  for (const [i, block] of ours.entries()) {
    expect(theirs[i]!.number).to.equal(block.number)
    expect(theirs[i]!.secret.equals(block.secret)).to.equal(true)
    expect(theirs[i]!.trustClass).to.equal(block.trustClass)
    expect(theirs[i]!.relays).to.deep.equal(block.relays)
    if (i > 0) expect(block.number > ours[i - 1]!.number).to.equal(true)
  }
  return ours
}

describe('RelayNode', function () {
  this.timeout(30_000)

  it('gives neighbours blocks of their link before there is a plan', async () => {
    await using network = await createRelayNetwork({ links: ['a-b'] })
    const blocks = await matchBlocks(network, 'a', 'b', 20)
    expect(new Set(blocks.map(({ trustClass }) => trustClass))).to.deep.equal(new Set(['direct']))
  })

  it('gives both ends of a path over relays the same blocks, and names the relays', async () => {
    await using network = await createRelayNetwork({ links: ['a-b', 'b-c', 'c-d'] })
    network.plan({ paths: ['a-b-c-d'] })
    const blocks = await matchBlocks(network, 'a', 'd', 50)
    expect(new Set(blocks.map(({ trustClass }) => trustClass))).to.deep.equal(new Set(['relayed']))
    expect(blocks[0]!.relays).to.deep.equal(['b', 'c'])
    const last = blocks.at(-1)!.way!
    expect(last.shares).to.deep.equal([[['a', 'b', 'c', 'd']]])
    expect(last.links.map(({ linkId, secrecy }) => `${linkId} ${secrecy}`)).to.deep.equal([
      'a-b none',
      'b-c none',
      'c-d none',
    ])
    expect(last.sinceMs).to.be.at.most(last.untilMs)
  })

  it('cuts blocks into chunks and puts them together again', async () => {
    await using network = await createRelayNetwork({ links: ['a-b', 'b-c', 'c-d'], limits: { chunkBytes: 1024 } })
    network.plan({ paths: ['a-b-c-d'] })
    await matchBlocks(network, 'a', 'd', 20)
  })

  it('uses several paths at once, and numbers what comes from them in one order', async () => {
    await using network = await createRelayNetwork({ links: ['a-b', 'b-d', 'a-c', 'c-d', 'a-d'] })
    network.plan({ paths: ['a-b-d', 'a-c-d', 'a-d'] })
    const blocks = await matchBlocks(network, 'a', 'd', 60)
    expect(new Set(blocks.map(({ relays }) => relays.join()))).to.deep.equal(new Set(['b', 'c', '']))
  })

  it('sends shares over disjoint paths, the direct link among them', async () => {
    await using network = await createRelayNetwork({ links: ['a-b', 'b-d', 'a-c', 'c-d', 'a-d'] })
    network.plan({ paths: ['a-b-d', 'a-c-d', 'a-d'], mode: 'split' })
    const blocks = await matchBlocks(network, 'a', 'd', 20)
    expect(new Set(blocks.map(({ trustClass }) => trustClass))).to.deep.equal(new Set(['split']))
    expect(blocks[0]!.relays).to.deep.equal(['b', 'c'])
  })

  it('goes on where the stock of one end is full of blocks that the other will never get', async () => {
    await using dir = await createTempDir()
    await using stock = await FileLinkStock.open(dir.path, { kek: SecretKey.random(32) })
    // Above all that the link gives for the next hour: as where the other copies died with a process.
    const first = BigInt(Date.now() + 3_600_000) << 20n
    const dead = [0n, 1n, 2n, 3n].map(i => ({
      kind: 'put' as const,
      number: first + i,
      secret: SecretKey.random(32_000),
    }))
    await stock.commit('a-b', dead)
    await using network = await createRelayNetwork({
      links: ['a-b', 'b-c'],
      limits: { stockBlocks: 4 },
      stock: siteId => (siteId === 'b' ? stock : undefined),
    })
    network.plan({ paths: ['a-b-c'] })
    await matchBlocks(network, 'a', 'c', 10)
  })

  it('uses after a restart what waited in the stocks of both ends, once', async () => {
    await using dir = await createTempDir()
    const kek = SecretKey.random(32)
    for (let round = 0; round < 2; round += 1) {
      const stocks = new Map<string, FileLinkStock>()
      for (const siteId of ['a', 'b', 'c']) {
        stocks.set(siteId, await FileLinkStock.open(join(dir.path, siteId), { kek }))
      }
      const kept = (await stocks.get('a')!.snapshot('a-b')).numbers.length
      expect(kept > 0, `round ${round}`).to.equal(round > 0)
      {
        const options = { links: ['a-b', 'b-c'], limits: { settleMs: 50, stockBlocks: 16 } } as const
        await using network = await createRelayNetwork({ ...options, stock: siteId => stocks.get(siteId) })
        network.plan({ paths: ['a-b-c'] })
        await matchBlocks(network, 'a', 'c', 10)
        const isFull = async () => (await stocks.get('a')!.snapshot('a-b')).numbers.length >= 4
        await until(isFull, 'link key in the stock')
      }
      for (const stock of stocks.values()) await stock.close()
    }
  })
})
