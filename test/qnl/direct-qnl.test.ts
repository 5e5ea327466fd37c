import { expect } from 'chai'
import type { Demand, QnlEvent } from '../../lib/interface/qnl.ts'
import { createPostQuantumPair } from '../../lib/qll/post-quantum/post-quantum-link.ts'
import { createSimulatedLinkPair } from '../../lib/qll/simulated-link-pair.ts'
import { DirectQnl, MAX_WAITING_CALLS } from '../../lib/qnl/direct-qnl.ts'
import { TelemetryHub } from '../../lib/telemetry.ts'
import { statusOf } from '../compliance/link-status.ts'
import { rejectsWith } from '../helpers/rejects-with.ts'

const rateBps = 50_000_000
const steady: Demand = { rateBps: 20_000_000, weight: 1, kind: 'continuous', mode: 'single' }

/** Alice's QNL on a link that is up, and both ends of it. */
async function createAlice() {
  const [a, b] = createSimulatedLinkPair({ linkId: 'alice-bob', siteIds: ['alice', 'bob'], rateBps })
  const telemetry = new TelemetryHub()
  const qnl = new DirectQnl({ siteId: 'alice', links: [a], telemetry })
  const events: QnlEvent[] = []
  qnl.onEvent(event => events.push(event))
  await statusOf(a, ({ state }) => state === 'up')
  await statusOf(b, ({ state }) => state === 'up')
  return {
    a,
    b,
    qnl,
    telemetry,
    events,
    async [Symbol.asyncDispose]() {
      await Promise.all([qnl.close(), a.close(), b.close()])
    },
  }
}

describe('DirectQnl', () => {
  it('marks every block as direct, known to no relay', async () => {
    await using alice = await createAlice()
    const block = await alice.qnl.nextBlock('bob')
    expect(block).to.deep.include({ remoteSiteId: 'bob', trustClass: 'direct', relays: [] })
    expect(block.number).to.equal((await alice.b.nextBlock()).number)
  })

  it('marks blocks of a link without a quantum channel as what they are', async () => {
    const ends = createPostQuantumPair({ linkId: 'isle', siteIds: ['alice', 'bob'], rateBps: 20_000_000 })
    await using qnl = new DirectQnl({ siteId: 'alice', links: [ends[0]] })
    expect(await qnl.nextBlock('bob')).to.deep.include({ trustClass: 'post-quantum', relays: [] })
    await Promise.all(ends.map(end => end.close()))
  })

  it('grants what the link yields, and tells the KMS when that changes', async () => {
    await using alice = await createAlice()
    const { a, qnl, events } = alice
    expect(await qnl.setDemand('bob', steady)).to.deep.equal({ rateBps: 20_000_000, epoch: 1 })
    a.setRateBps(25_000_000)
    expect(events, 'the grant is not touched').to.deep.equal([])
    a.setRateBps(15_000_000)
    a.setRateBps(18_000_000)
    a.setRateBps(50_000_000)
    a.interrupt('Cut by a digger')
    a.restore()
    await statusOf(a, ({ state }) => state === 'up')
    expect(events).to.deep.equal([
      { type: 'rate-drop', remoteSiteId: 'bob', rateBps: 15_000_000, wasBps: 20_000_000 },
      { type: 'restored', remoteSiteId: 'bob', rateBps: 18_000_000 },
      { type: 'restored', remoteSiteId: 'bob', rateBps: 20_000_000 },
      { type: 'link-down', linkId: 'alice-bob', remoteSiteId: 'bob', reason: 'Cut by a digger' },
      { type: 'pair-unserved', remoteSiteId: 'bob', reason: 'Cut by a digger' },
      { type: 'restored', remoteSiteId: 'bob', rateBps: 20_000_000 },
    ])
  })

  it('tells that the pair is served again once less is asked for, or nothing', async () => {
    await using alice = await createAlice()
    const { a, qnl, events } = alice
    await qnl.setDemand('bob', steady)
    a.setRateBps(15_000_000)
    await qnl.setDemand('bob', { ...steady, rateBps: 10_000_000 })
    await qnl.setDemand('bob', { ...steady, rateBps: 9_000_000 })
    a.interrupt('Cut by a digger')
    await qnl.setDemand('bob', { ...steady, rateBps: 0 })
    expect(events.filter(({ type }) => type !== 'link-down')).to.deep.equal([
      { type: 'rate-drop', remoteSiteId: 'bob', rateBps: 15_000_000, wasBps: 20_000_000 },
      { type: 'restored', remoteSiteId: 'bob', rateBps: 10_000_000 },
      { type: 'pair-unserved', remoteSiteId: 'bob', reason: 'Cut by a digger' },
      { type: 'restored', remoteSiteId: 'bob', rateBps: 0 },
    ])
  })

  it('grants nothing while the link is down', async () => {
    await using alice = await createAlice()
    alice.a.interrupt()
    expect(await alice.qnl.setDemand('bob', steady)).to.deep.equal({ rateBps: 0, epoch: 1 })
    alice.a.restore()
    await statusOf(alice.a, ({ state }) => state === 'up')
    expect(alice.events.at(-1)).to.deep.equal({ type: 'restored', remoteSiteId: 'bob', rateBps: 20_000_000 })
  })

  it('tells of a link that is down, and of no grant, where nothing was asked', async () => {
    await using alice = await createAlice()
    alice.a.interrupt('Cut')
    expect(alice.events.map(({ type }) => type)).to.deep.equal(['link-down'])
  })

  it('reports demands and grants as telemetry', async () => {
    await using alice = await createAlice()
    const { qnl, telemetry, a } = alice
    const demands: unknown[] = []
    telemetry.subscribe(event => event.type === 'demand' && demands.push(event))
    await qnl.setDemand('bob', steady)
    a.setRateBps(15_000_000)
    await qnl.setDemand('bob', { ...steady, rateBps: 0 })
    const demand = { type: 'demand', peerSiteId: 'bob' }
    expect(demands).to.deep.equal([
      { ...demand, askedBps: 20_000_000, grantedBps: 20_000_000 },
      { ...demand, askedBps: 20_000_000, grantedBps: 15_000_000 },
      { ...demand, askedBps: 0, grantedBps: 0 },
    ])
    expect(telemetry.readings()).to.deep.include({ name: 'qnl_granted_bps', labels: { peer: 'bob' }, value: 0 })
    expect(telemetry.readings()).to.deep.include({ name: 'qnl_plan_epoch', labels: {}, value: 1 })
  })

  it('leaves the links open that it was given', async () => {
    await using alice = await createAlice()
    await alice.qnl.close()
    expect((await alice.a.nextBlock()).secret.sizeBytes).to.equal(32_000)
  })

  it('rejects those who wait when the owner of the link closes it', async () => {
    await using alice = await createAlice()
    alice.a.interrupt()
    while (alice.a.status().bufferedBits > 0) await alice.qnl.nextBlock('bob')
    const waiter = rejectsWith(alice.qnl.nextBlock('bob'), 'ERR_QKD_CLOSED')
    await alice.a.close()
    await waiter
  })

  it('bounds the callers that wait', async () => {
    await using alice = await createAlice()
    const { qnl } = alice
    const waiters = Array.from({ length: MAX_WAITING_CALLS }, () => qnl.nextBlock('bob').catch(() => {}))
    const refusal = await rejectsWith(qnl.nextBlock('bob'), 'ERR_QKD_INVALID_ARGUMENT')
    expect(refusal.message).to.equal('256 callers wait for blocks: await some before asking for more')
    await qnl.close()
    await Promise.all(waiters)
  })

  it('says which site it knows no way to', async () => {
    await using alice = await createAlice()
    const { message } = await rejectsWith(alice.qnl.nextBlock('carol'), 'ERR_QKD_NO_ROUTE')
    expect(message).to.equal('No link joins "alice" and "carol"; its neighbours are "bob"')
  })

  it('refuses links that it can not serve, saying why', async () => {
    const [a, b] = createSimulatedLinkPair({ linkId: 'one', siteIds: ['alice', 'bob'], rateBps })
    const [c, d] = createSimulatedLinkPair({ linkId: 'two', siteIds: ['alice', 'bob'], rateBps })
    const [e, f] = createSimulatedLinkPair({ linkId: 'odd', siteIds: ['alice', 'carol'], rateBps, blockSizeBytes: 64 })
    const create = (links: (typeof a | typeof b)[]) => () => new DirectQnl({ siteId: 'alice', links })
    expect(create([b])).to.throw('Link "one" ends at site "bob", and this QNL is at "alice"')
    expect(create([a, c])).to.throw('Links "one" and "two" both lead to site "bob"; one link to a site is supported')
    expect(create([a, e])).to.throw('Link "odd" has blocks of 64 bytes; a pool takes blocks of 32000')
    await Promise.all([a, b, c, d, e, f].map(end => end.close()))
  })
})
