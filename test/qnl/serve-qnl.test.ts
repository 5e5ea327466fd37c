import { expect } from 'chai'
import fc from 'fast-check'
import type { QnlBlock } from '../../lib/interface/qnl.ts'
import type { SimulatedLink, SimulatedLinkSource } from '../../lib/qll/simulated-link.ts'
import { createSimulatedLinkPair } from '../../lib/qll/simulated-link-pair.ts'
import { DirectQnl } from '../../lib/qnl/direct-qnl.ts'
import { MAX_OUTSTANDING_CALLS, serveQnl } from '../../lib/qnl/serve-qnl.ts'
import { rejectsWith } from '../helpers/rejects-with.ts'
import { RawPeer } from './raw-peer.ts'

const peerIds = ['kme']

/** A QNL whose blocks never come, and that does not heed a signal. */
class StuckQnl extends DirectQnl {
  override nextBlock(): Promise<QnlBlock> {
    return new Promise(() => {})
  }
}

describe('serveQnl', () => {
  let ends: [SimulatedLinkSource, SimulatedLink]
  let qnl: DirectQnl

  beforeEach(() => {
    ends = createSimulatedLinkPair({ linkId: 'l', siteIds: ['alice', 'bob'], rateBps: 100_000_000 })
    qnl = new DirectQnl({ siteId: 'alice', links: [ends[0]] })
  })

  afterEach(async () => {
    await Promise.all([qnl, ...ends].map(part => part.close()))
  })

  it('gives no key material to a peer that it was not told of', async () => {
    const [atQnl, atKms] = RawPeer.pair()
    await rejectsWith(serveQnl(qnl, atQnl, { peerIds: ['another-kme'] }), 'ERR_QKD_UNAUTHORIZED')
    expect(await atKms.receive()).to.equal(undefined)
  })

  it('ends with the channel, and leaves the QNL open', async () => {
    const [atQnl, atKms] = RawPeer.pair()
    const serving = serveQnl(qnl, atQnl, { peerIds })
    const raw = new RawPeer(atKms)
    expect((await raw.next('hello')).head).to.deep.equal({ version: 2, siteId: 'alice' })
    await atKms.close()
    await serving
    expect(await qnl.remoteSiteIds()).to.deep.equal(['bob'])
  })

  it('ends with its signal, and closes the channel', async () => {
    const stop = new AbortController()
    const [atQnl, atKms] = RawPeer.pair()
    const serving = serveQnl(qnl, atQnl, { peerIds, signal: stop.signal })
    const raw = new RawPeer(atKms)
    await raw.next('hello')
    stop.abort()
    await Promise.all([serving, raw.closed()])
    const [lateAtQnl, lateAtKms] = RawPeer.pair()
    await Promise.all([serveQnl(qnl, lateAtQnl, { peerIds, signal: stop.signal }), new RawPeer(lateAtKms).closed()])
  })

  it('closes the channel when the QNL is closed, so that the client looks for the next one', async () => {
    const [atQnl, atKms] = RawPeer.pair()
    const serving = serveQnl(qnl, atQnl, { peerIds })
    const raw = new RawPeer(atKms)
    await raw.next('hello')
    await qnl.close()
    await raw.send({ type: 'call', id: 1, head: { op: 'status' } })
    await Promise.all([serving, raw.closed()])
  })

  it('gives up what a lost client waits for, and takes no block for it', async () => {
    const [atQnl, atKms] = RawPeer.pair()
    const serving = serveQnl(qnl, atQnl, { peerIds })
    const raw = new RawPeer(atKms)
    await raw.next('hello')
    const first = await ends[1].nextBlock()
    ends[0].interrupt()
    const spent = { op: 'nextBlock', remoteSiteId: 'bob', after: `${first.number + 1000n}` } as const
    await raw.send({ type: 'call', id: 1, head: spent })
    await raw.send({ type: 'call', id: 2, head: { op: 'status' } })
    await raw.next('event')
    await raw.next('answer')
    await atKms.close()
    await serving
    ends[0].restore()
    const [here, there] = await Promise.all([
      qnl.nextBlock('bob', { after: first.number + 1000n }),
      ends[1].nextBlock({ after: first.number + 1000n }),
    ])
    expect(here.number, 'the first block after the cut is not lost').to.equal(there.number)
  })

  it('ends the conversation with a client that breaks the rules', async () => {
    const waiting = { op: 'nextBlock', remoteSiteId: 'bob', after: `${2n ** 62n}` } as const
    const faults: [(raw: RawPeer) => Promise<void>, string][] = [
      [raw => raw.hello(), 'A message of type hello is out of place'],
      [raw => raw.block(1, 1n), 'A message of type block is out of place'],
      [raw => raw.channel.send(Buffer.alloc(20, 255)), 'Message type 255 is not known'],
      [raw => raw.send({ type: 'call', id: 7, head: { op: 'none' } as never }), '/op'],
      [
        async raw => {
          ends[0].interrupt()
          await raw.send({ type: 'call', id: 7, head: waiting })
          await raw.send({ type: 'call', id: 7, head: waiting })
        },
        'Call 7 was not answered yet',
      ],
    ]
    for (const [act, text] of faults) {
      const [atQnl, atKms] = RawPeer.pair()
      const serving = rejectsWith(serveQnl(qnl, atQnl, { peerIds }), 'ERR_QKD_PROTOCOL')
      const raw = new RawPeer(atKms)
      await act(raw)
      expect((await serving).message).to.include(text)
      await raw.closed()
    }
  })

  it('survives any bytes from a client', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ minLength: 1, maxLength: 300 }), async bytes => {
        const [atQnl, atKms] = RawPeer.pair()
        const serving = serveQnl(qnl, atQnl, { peerIds }).catch(error => error.code)
        await atKms.send(bytes)
        await atKms.close()
        expect(await serving).to.be.oneOf([undefined, 'ERR_QKD_PROTOCOL'])
      }),
      { numRuns: 50 },
    )
    expect(await qnl.remoteSiteIds()).to.deep.equal(['bob'])
  })

  it('bounds the calls that one client may have open', async () => {
    const stuck = new StuckQnl({ siteId: 'alice', links: [ends[0]] })
    const [atQnl, atKms] = RawPeer.pair()
    const refusal = rejectsWith(serveQnl(stuck, atQnl, { peerIds }), 'ERR_QKD_PROTOCOL')
    const raw = new RawPeer(atKms)
    for (let id = 1; id <= MAX_OUTSTANDING_CALLS + 1; id += 1) {
      await raw.send({ type: 'call', id, head: { op: 'nextBlock', remoteSiteId: 'bob', after: '0' } })
    }
    expect((await refusal).message).to.equal('More than 512 calls')
    await stuck.close()
  })
})
