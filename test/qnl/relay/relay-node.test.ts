import { expect } from 'chai'
import type { QnlBlock } from '../../../lib/interface/qnl.ts'
import { createRelayNetwork, type RelayNetwork } from '../../helpers/relay-network.ts'

const patience = () => ({ signal: AbortSignal.timeout(10_000) })

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
})
