import { expect } from 'chai'
import type { LinkBlock, LinkStatus } from '../../lib/interface/link.ts'
import { createSimulatedLinkPair } from '../../lib/qll/simulated-link-pair.ts'
import { TelemetryHub } from '../../lib/telemetry.ts'
import { statusOf } from '../compliance/link-status.ts'

const common = { linkId: 'alice-bob', siteIds: ['alice', 'bob'], rateBps: 50_000_000 } as const

describe('createSimulatedLinkPair', () => {
  it('says that no photons are involved', async () => {
    const [a, b] = createSimulatedLinkPair(common)
    await using _ = a
    await using __ = b
    for (const end of [a, b]) {
      expect(end.status()).to.include({ kind: 'simulated', simulated: true, blockSizeBytes: 32_000 })
      expect(end.status()).to.include({ state: 'down', reason: 'Not connected yet', rateBps: 0 })
    }
    const up: Partial<LinkStatus> = { state: 'up', reason: undefined, rateBps: 50_000_000, qber: undefined }
    expect(await statusOf(a, status => status.state === 'up')).to.include(up)
    expect(await statusOf(b, status => status.state === 'up')).to.include(up)
  })

  it('is degraded at both ends while the rate is below the nominal one', async () => {
    const [a, b] = createSimulatedLinkPair(common)
    await using _ = a
    await using __ = b
    for (const end of [a, b]) await statusOf(end, status => status.state === 'up')
    a.setRateBps(20_000_000)
    for (const end of [a, b]) {
      const degraded = await statusOf(end, status => status.state === 'degraded')
      expect(degraded).to.include({ rateBps: 20_000_000, reason: 'Yields 20000000 of 50000000 b/s' })
    }
    b.interrupt('Cut by a digger')
    for (const end of [a, b]) {
      expect(await statusOf(end, ({ state }) => state === 'down')).to.include({ reason: 'Cut by a digger', rateBps: 0 })
    }
    b.restore()
    for (const end of [a, b]) await statusOf(end, status => status.rateBps === 20_000_000)
    a.setRateBps(50_000_000)
    for (const end of [a, b]) await statusOf(end, status => status.state === 'up')
  })

  it('gives nothing at a rate of 0, and goes on when there is a rate again', async () => {
    const [a, b] = createSimulatedLinkPair({ ...common, bufferBlocks: 4 })
    await using _ = a
    await using __ = b
    ;(await a.nextBlock()).secret.wipe()
    a.setRateBps(0)
    while (a.status().bufferedBits > 0) (await a.nextBlock()).secret.wipe()
    let came = false
    const next = a.nextBlock().then(block => {
      came = true
      return block
    })
    await statusOf(b, status => status.rateBps === 0)
    await drainTurns()
    expect(came).to.equal(false)
    a.setRateBps(50_000_000)
    while (b.status().bufferedBits > 0) (await b.nextBlock()).secret.wipe()
    expect((await next).secret.sizeBytes).to.equal(32_000)
  })

  it('starts its numbers at the wall clock, so that a later link of the same name starts above them', async () => {
    const [a, b] = createSimulatedLinkPair({ ...common, now: () => 5_000 })
    await using _ = a
    await using __ = b
    expect((await b.nextBlock()).number).to.equal((5_000n << 20n) + 1n)
    expect((await b.nextBlock()).number).to.equal((5_000n << 20n) + 2n)
  })

  it('reports state, rate and stock as telemetry', async () => {
    const telemetry = new TelemetryHub()
    const events: unknown[] = []
    telemetry.subscribe(event => events.push(event))
    const [a, b] = createSimulatedLinkPair({ ...common, telemetry, bufferBlocks: 2 })
    await statusOf(a, status => status.state === 'up')
    await statusOf(b, status => status.state === 'up')
    expect(events).to.deep.equal([
      { type: 'link', linkId: 'alice-bob', state: 'up' },
      { type: 'link', linkId: 'alice-bob', state: 'up' },
    ])
    ;(await a.nextBlock()).secret.wipe()
    const gauge = (name: string) => telemetry.readings().find(reading => reading.name === name)
    expect(gauge('link_rate_bps')).to.deep.include({ labels: { link: 'alice-bob' }, value: 50_000_000 })
    expect(gauge('link_buffered_bits')).to.have.property('labels').deep.equal({ link: 'alice-bob' })
    await Promise.all([a.close(), b.close()])
    expect(events.at(-1)).to.deep.equal({ type: 'link', linkId: 'alice-bob', state: 'down', reason: 'Closed' })
    expect(gauge('link_rate_bps')).to.include({ value: 0 })
    expect(gauge('link_buffered_bits')).to.include({ value: 0 })
  })

  it('tells the other end that it was closed', async () => {
    const [a, b] = createSimulatedLinkPair(common)
    await using _ = b
    await statusOf(b, status => status.state === 'up')
    await a.close()
    await statusOf(b, status => status.state === 'down' && status.reason === 'The other end was closed')
  })

  it('keeps up with a fast link in small memory', async () => {
    const [a, b] = createSimulatedLinkPair({ ...common, rateBps: 2_000_000_000, bufferBlocks: 8 })
    await using _ = a
    await using __ = b
    const takeMany = async (end: { nextBlock(): Promise<LinkBlock> }) => {
      for (let i = 0; i < 500; i += 1) (await end.nextBlock()).secret.wipe()
    }
    await Promise.all([takeMany(a), takeMany(b)])
    expect(a.status().bufferedBits).to.be.at.most(8 * 256_000)
  })

  it('names the option that is out of its range', () => {
    const broken: [Partial<Parameters<typeof createSimulatedLinkPair>[0]>, string][] = [
      [{ rateBps: 0 }, 'rateBps must be an integer from 1'],
      [{ rateBps: Number.NaN }, 'rateBps must be an integer from 1'],
      [{ blockSizeBytes: 31 }, 'blockSizeBytes must be an integer from 32 to 1000000'],
      [{ bufferBlocks: 0 }, 'bufferBlocks must be an integer from 1 to 4096'],
      [{ heartbeatMs: 9 }, 'heartbeatMs must be an integer from 10 to 60000'],
      [{ linkId: '' }, 'linkId must be 1 to 128 printable characters'],
      [{ siteIds: ['a\n', 'b'] }, 'localSiteId must be 1 to 128 printable characters'],
      [{ siteIds: ['a', 'a'] }, 'both ends of "alice-bob" are at "a"'],
    ]
    for (const [options, text] of broken) {
      expect(() => createSimulatedLinkPair({ ...common, ...options }))
        .to.throw(text)
        .with.property('code', 'ERR_QKD_INVALID_ARGUMENT')
    }
  })

  it('bounds the callers that wait', async () => {
    const [a, b] = createSimulatedLinkPair(common)
    await using __ = b
    const waiters = Array.from({ length: 1024 }, () => a.nextBlock().catch(error => error.code))
    const refusal = await a.nextBlock().catch(error => error)
    expect(refusal).to.have.property('code', 'ERR_QKD_INVALID_ARGUMENT')
    expect(refusal).to.have.property('message').that.includes('1024 callers wait')
    await a.close()
    expect(await Promise.all(waiters)).to.deep.equal(Array(1024).fill('ERR_QKD_CLOSED'))
  })
})

/** Lets everything that is already under way in this process happen. */
async function drainTurns(): Promise<void> {
  for (let i = 0; i < 50; i += 1) await new Promise(resolve => setImmediate(resolve))
}
