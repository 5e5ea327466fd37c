import { connect } from 'node:net'
import { expect } from 'chai'
import { StreamChannel } from '../../../../lib/channel/stream-channel.ts'
import type { LinkStatus } from '../../../../lib/interface/link.ts'
import type { TelemetryEvent } from '../../../../lib/interface/telemetry.ts'
import { SecretKey } from '../../../../lib/key/secret-key.ts'
import { type Bb84LinkPairOptions, createBb84LinkPair } from '../../../../lib/qll/bb84/link/bb84-link-pair.ts'
import { createBb84LinkConnector, createBb84LinkListener } from '../../../../lib/qll/bb84/link/bb84-link-tcp.ts'
import { encodeIntroduction } from '../../../../lib/qll/bb84/link/introduction.ts'
import type { PhotonPath } from '../../../../lib/qll/bb84/photons/photon-path.ts'
import type { BlockReport } from '../../../../lib/qll/bb84/session/report.ts'
import { SharedKeyTranscripts } from '../../../../lib/qll/bb84/session/shared-key-transcripts.ts'
import { TelemetryHub } from '../../../../lib/telemetry.ts'
import { BlockMatcher } from '../../../compliance/block-matcher.ts'
import { statusOf } from '../../../compliance/link-status.ts'
import { SMALL_LINK, testChannel } from '../../../helpers/bb84-link.ts'

/** A pair in this process, closed at the end, with what it reported. */
async function withPair(
  options: Partial<Bb84LinkPairOptions>,
  use: (pair: {
    alice: ReturnType<typeof createBb84LinkPair>[0]
    bob: ReturnType<typeof createBb84LinkPair>[0]
    matcher: BlockMatcher<Awaited<ReturnType<ReturnType<typeof createBb84LinkPair>[0]['nextBlock']>>>
    reports: BlockReport[]
    events: TelemetryEvent[]
  }) => Promise<void>,
): Promise<void> {
  const telemetry = new TelemetryHub()
  const events: TelemetryEvent[] = []
  telemetry.subscribe(event => events.push(event))
  const reports: BlockReport[] = []
  const [alice, bob] = createBb84LinkPair({
    ...SMALL_LINK,
    siteIds: ['alice', 'bob'],
    telemetry,
    onBlock: report => reports.push(report),
    ...options,
  })
  try {
    const matcher = new BlockMatcher([taking => alice.nextBlock(taking), taking => bob.nextBlock(taking)])
    await use({ alice, bob, matcher, reports, events })
  } finally {
    await Promise.all([alice.close(), bob.close()])
  }
}

const alarmsOf = (events: readonly TelemetryEvent[]) =>
  events.flatMap(event => (event.type === 'alarm' ? [`${event.id} ${event.severity} ${event.state}`] : []))

/** Takes what both ends hold; false when nothing more comes within `waitMs`. */
async function drain(ends: readonly { nextBlock(options: object): Promise<{ secret: SecretKey }> }[], waitMs: number) {
  for (const end of ends) {
    for (;;) {
      const block = await end.nextBlock({ signal: AbortSignal.timeout(waitMs) }).catch(() => undefined)
      if (block === undefined) break
      block.secret.wipe()
    }
  }
}

describe('Bb84Link', () => {
  it('tells rate, error rate and kind of the link at both ends', () =>
    withPair({ kind: 'free-space' }, async ({ alice, bob, matcher }) => {
      await matcher.match(30)
      for (const end of [alice, bob]) {
        const status = await statusOf(end, ({ state, qber }) => state === 'up' && qber !== undefined)
        expect(status).to.include({ kind: 'free-space', simulated: true, blockSizeBytes: 256 })
        expect(status.qber).to.be.within(0.002, 0.008)
        expect(status.rateBps).to.be.above(0)
      }
    }))

  it('goes down at once when somebody listens, gives nothing of it, and comes back when he has gone', () => {
    let eve = 0
    const path: PhotonPath = () => testChannel({ interceptFraction: eve })
    return withPair({ path }, async ({ alice, bob, matcher, reports, events }) => {
      await matcher.match(5)
      eve = 0.5
      await Promise.all([
        (async () => {
          for (const end of [alice, bob]) {
            const { rateBps, qber, reason } = await statusOf(end, ({ state }) => state === 'down')
            expect(rateBps).to.equal(0)
            expect(qber).to.be.within(0.09, 0.16)
            expect(reason).to.match(/error rate of 1\d\.\d+ % is above the limit of 11\.00 %/)
          }
        })(),
        // Takes what there was; a block comes only where the buffers have room.
        drain([alice, bob], 300),
      ])
      const first = reports.findIndex(({ outcome }) => outcome === 'aborted')
      expect(reports.slice(first).filter(({ outcome }) => outcome === 'key')).to.deep.equal([])
      expect(reports.slice(first).every(({ secretBits, deliveredBits }) => secretBits + deliveredBits === 0)).to.equal(
        true,
      )
      expect([alice, bob].map(end => end.status().bufferedBits)).to.deep.equal([0, 0])
      expect(alarmsOf(events)).to.include('link-qber:alice-bob major raised')
      eve = 0
      for (const end of [alice, bob]) await statusOf(end, ({ state }) => state === 'up')
      const again = new BlockMatcher([taking => alice.nextBlock(taking), taking => bob.nextBlock(taking)])
      await again.match(10)
      expect(alarmsOf(events).at(-1)).to.equal('link-qber:alice-bob major cleared')
      expect(alarmsOf(events)).to.have.length(4)
    })
  })

  it('looks ever more seldom at light that leaves no key, for each look costs authentication key', () => {
    let eve = 0
    const path: PhotonPath = () => testChannel({ interceptFraction: eve })
    return withPair({ path }, async ({ alice, bob, matcher, reports }) => {
      await matcher.match(5)
      eve = 0.5
      await Promise.all([statusOf(alice, ({ state }) => state === 'down'), drain([alice, bob], 500)])
      await drain([alice, bob], 500)
      // Of both ends; without pauses there would be a hundred.
      const looks = reports.filter(({ outcome }) => outcome === 'aborted')
      expect(looks).to.have.length.within(2, 14)
    })
  })

  it('is degraded while the light is good for less than half of the rate', () => {
    let lengthKm = 10
    return withPair({ path: () => testChannel({ lengthKm }) }, async ({ alice, matcher }) => {
      await matcher.match(5)
      expect(alice.status().state).to.equal('up')
      lengthKm = 35
      const dim = statusOf(alice, ({ state }) => state === 'degraded')
      await Promise.all([dim, matcher.match(150)])
      expect((await dim).reason).to.match(/less than half of the \d+ b\/s/)
      lengthKm = 10
      await Promise.all([statusOf(alice, ({ state }) => state === 'up'), matcher.match(250)])
    })
  })

  it('is down while no light comes through, says why, and goes on by itself', () => {
    let dark = true
    const path: PhotonPath = () => (dark ? { dark: 'The satellite is below the horizon' } : testChannel())
    return withPair({ path }, async ({ alice, bob, matcher }) => {
      for (const end of [alice, bob]) {
        const { rateBps } = await statusOf(end, ({ reason }) => reason === 'The satellite is below the horizon')
        expect(rateBps).to.equal(0)
      }
      dark = false
      await matcher.match(5)
      expect(alice.status().state).to.equal('up')
    })
  })

  it('puts each block on record: what leaked, what it promises, what authentication took, and never a loss', () =>
    withPair({}, async ({ alice, bob, matcher, reports }) => {
      await matcher.match(60)
      expect(reports).to.have.length.above(6)
      for (const report of reports) {
        expect(report.outcome).to.equal('key')
        expect(report.epsilon).to.be.within(1e-3, 1.001e-3)
        expect(report.leakedBits).to.be.above(0)
        expect(report.secretBits - report.authenticationBits).to.be.above(0)
      }
      for (const { authentication } of [alice, bob]) {
        const { takenBits, spentBits, discardedBits, heldBits } = authentication
        expect(takenBits).to.equal(spentBits + discardedBits + heldBits)
      }
      expect(alice.authentication).to.deep.equal(bob.authentication)
    }))

  it('holds no more than its buffer and what one block of post-processing brings', () =>
    withPair({ bufferBlocks: 2 }, async ({ alice, bob, matcher, reports }) => {
      await matcher.match(40)
      const mostBits = Math.max(...reports.map(({ deliveredBits }) => deliveredBits))
      const seen: LinkStatus[] = []
      alice.onStatus(status => seen.push(status))
      await matcher.match(40)
      for (const end of [alice, bob]) {
        expect(end.status().bufferedBits).to.be.at.most(2 * 256 * 8 + mostBits + 256 * 8)
      }
    }))

  it('refuses what can bring no key, and what the post-processing has no use for', () => {
    const make = (options: object) => () => createBb84LinkPair({ ...SMALL_LINK, siteIds: ['a', 'b'], ...options })
    expect(make({ channel: testChannel({ lengthKm: 400 }) })).to.throw(/can bring no key.*shorten the distance/)
    expect(make({ keyBits: 100 })).to.throw(/keyBits/)
    expect(make({ blockSizeBytes: 1 })).to.throw(/blockSizeBytes/)
    expect(make({ siteIds: ['a', 'a'] })).to.throw(/both ends/)
    expect(make({ parameters: { maximumErrorRate: 0.6 } })).to.throw(/maximumErrorRate/)
    expect(make({ blockTimeoutMs: 1 })).to.throw(/blockTimeoutMs/)
  })
})

describe('createBb84LinkListener', () => {
  const psk = SecretKey.random(32)
  const bootstrap = () => new SharedKeyTranscripts(psk)
  const listen = () =>
    createBb84LinkListener({ ...SMALL_LINK, localSiteId: 'alice', remoteSiteId: 'bob', port: 0, bootstrap })
  const dial = (port: number, options = {}) =>
    createBb84LinkConnector({
      ...SMALL_LINK,
      localSiteId: 'bob',
      remoteSiteId: 'alice',
      port,
      bootstrap,
      backOff: { minMs: 5, maxMs: 20 },
      ...options,
    })

  it('tells the other end in words what does not fit', async () => {
    const { link, port } = await listen()
    const other: [object, RegExp][] = [
      [{ linkId: 'x-y' }, /of link "alice-bob", this one of "x-y"/],
      [{ remoteSiteId: 'carol' }, /at site "alice", where "carol" is expected/],
      [{ keyBits: 2 ** 17, parameters: { ...SMALL_LINK.parameters, frameBits: 4096 } }, /other parameters|closed/],
    ]
    for (const [options, reason] of other) {
      const end = dial(port, options)
      await statusOf(end, status => reason.test(status.reason ?? ''))
      expect(end.status().state).to.equal('down')
      await end.close()
    }
    await link.close()
  })

  it('goes on while strangers knock at its door', async () => {
    const { link, port } = await listen()
    const bob = dial(port)
    const matcher = new BlockMatcher([options => link.nextBlock(options), options => bob.nextBlock(options)])
    await matcher.match(5)
    const strangers = Array.from({ length: 6 }, () => connect({ port, host: '127.0.0.1' }).on('error', () => {}))
    const introduction = { linkId: 'alice-bob', siteId: 'bob', peerSiteId: 'alice', spares: [] }
    for (const [at, socket] of strangers.entries()) {
      if (at < 2) socket.write('GET / HTTP/1.1\r\n\r\n')
      else if (at < 4) {
        const purpose = at === 2 ? 'talk' : 'photons'
        const channel = new StreamChannel(socket, { peerId: 'alice', heartbeatMs: 1000 })
        await channel.send(encodeIntroduction({ ...introduction, purpose }))
      }
    }
    await matcher.match(60)
    expect(link.status().state).to.equal('up')
    for (const socket of strangers) socket.destroy()
    await Promise.all([link.close(), bob.close()])
  })

  it('refuses a port that is taken, naming it', async () => {
    const { link, port } = await listen()
    const second = createBb84LinkListener({ ...SMALL_LINK, localSiteId: 'alice', remoteSiteId: 'bob', port, bootstrap })
    await second.then(
      () => expect.fail('listens twice'),
      error => {
        expect(error.code).to.equal('ERR_QKD_LINK_DOWN')
        expect(error.message).to.contain(`${port}`)
      },
    )
    await link.close()
  })
})
