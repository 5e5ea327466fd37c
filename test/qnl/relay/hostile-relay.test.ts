import { expect } from 'chai'
import type { QnlBlock } from '../../../lib/interface/qnl.ts'
import { SecretKey } from '../../../lib/key/secret-key.ts'
import type { Chunk } from '../../../lib/qnl/relay/frame.ts'
import { Incoming } from '../../../lib/qnl/relay/incoming.ts'
import { Outgoing } from '../../../lib/qnl/relay/outgoing.ts'
import { PathSet } from '../../../lib/qnl/relay/path-set.ts'
import { HOSTILE_ACTS, hostileChannel } from '../../helpers/hostile-relay.ts'
import { createRelayNetwork, type RelayNetwork } from '../../helpers/relay-network.ts'
import { until } from '../../helpers/until.ts'

/** All blocks of an end, as they come, until the network is closed. */
function collect(network: RelayNetwork, at: string, from: string): Map<bigint, QnlBlock> {
  const blocks = new Map<bigint, QnlBlock>()
  const run = async () => {
    for (;;) {
      const block = await network.node(at).nextBlock(from)
      blocks.set(block.number, block)
    }
  }
  run().catch(() => {})
  return blocks
}

function counted(network: RelayNetwork): number {
  return ['a', 'b', 'c', 'd']
    .flatMap(site => Object.values(network.node(site).counters.refused))
    .reduce((sum, count) => sum + count, 0)
}

describe('a hostile relay', function () {
  this.timeout(60_000)

  const cases = HOSTILE_ACTS.flatMap(act => [false, true].map(announce => ({ act, announce })))
  for (const { act, announce } of cases) {
    it(`that ${act} ${announce ? 'announcements' : 'messages'} brings no wrong key to either end, is noticed, and stops nothing for good`, async () => {
      let [hostile, done] = [true, 0]
      await using network = await createRelayNetwork({
        links: ['a-b', 'b-c', 'c-d'],
        limits: { resendMs: 50, chunkBytes: 4096, blockLifeMs: 2000 },
        pairs: () => ({ announce }),
        tap: (channel, from) =>
          from === 'b'
            ? hostileChannel(channel, act, { isHostile: () => hostile, onDone: () => (done += 1) })
            : channel,
      })
      network.plan({ paths: ['a-b-c-d'], rateBps: 20_000_000 })
      const [ours, theirs] = [collect(network, 'a', 'd'), collect(network, 'd', 'a')]
      await until(() => done >= 30, 'thirty messages that were attacked')
      // Announcements count whatever their order; everything else that is not as it was sent is noticed.
      if (act !== 'reorders' || !announce) await until(() => counted(network) > 0, 'something thrown away and counted')
      hostile = false
      const before = theirs.size
      await until(() => theirs.size >= before + 10 && ours.size >= before + 10, 'ten blocks after the attack', {
        timeoutMs: 30_000,
      })
      let matched = 0
      for (const [number, block] of ours) {
        const twin = theirs.get(number)
        if (twin === undefined) continue
        matched += 1
        expect(twin.secret.equals(block.secret), `block ${number}`).to.equal(true)
      }
      expect(matched).to.be.at.least(10)
    })
  }

  const [source, dest, transfer, chunkBytes] = ['a', 'd', 7n, 1024]
  const path = ['a', 'b', 'd']
  const domainOf = (site: string) => site
  const common = { source, dest, transfer, chunkBytes, domainOf }
  const open = () => {
    const route = new PathSet({ paths: [path], split: false, rateBps: 1000 })
    const outgoing = Outgoing.open({ ...common, route, weight: 256 })!
    const incoming = Incoming.open({ ...common, split: false, announced: false, paths: [path] })!
    return { outgoing, incoming }
  }
  const altered = (chunk: Chunk): Chunk => ({ ...chunk, content: SecretKey.random(chunk.sizeBytes) })

  it('that changes what it relays, under right tags of its own, is found out by the ends', () => {
    const { outgoing, incoming } = open()
    for (const chunk of outgoing.chunks()) incoming.take(chunk.chunk === 3 ? altered(chunk) : chunk)
    const { tag, weak } = incoming.confirmation
    expect(outgoing.confirm(tag, weak)).to.equal(false)
  })

  it('that answers for the destination with a tag of its own is not believed', () => {
    const { outgoing } = open()
    expect(outgoing.confirm(new Uint8Array(16), false)).to.equal(false)
  })

  it('that changes the last word gets no block handed out', () => {
    const { outgoing, incoming } = open()
    for (const chunk of outgoing.chunks()) incoming.take(chunk)
    const { tag, weak } = incoming.confirmation
    expect(outgoing.confirm(tag, weak)).to.equal(true)
    const word = outgoing.tag
    word[0]! ^= 1
    expect(incoming.finish(word)).to.equal(undefined)
  })

  it('that sends another content for a chunk that is there makes the block be dropped', () => {
    const { outgoing, incoming } = open()
    const [first] = outgoing.chunks()
    expect(incoming.take(first!)).to.equal('more')
    const [again] = outgoing.chunks()
    expect(incoming.take(altered(again!))).to.equal('altered')
  })

  it('that repeats a chunk, or sends one over a path that was not announced, is refused', () => {
    const { outgoing, incoming } = open()
    const chunks = outgoing.chunks()
    expect(incoming.take(chunks[0]!)).to.equal('more')
    expect(incoming.take(outgoing.chunks([0])[0]!)).to.equal('repeated')
    expect(incoming.take({ ...chunks[1]!, path: ['a', 'c', 'd'] })).to.equal('unannounced')
    expect(incoming.take({ ...chunks[2]!, share: 3 })).to.equal('unannounced')
  })
})
