import { expect } from 'chai'
import { exportKey } from '../../../../lib/key/export-key.ts'
import { SecretKey } from '../../../../lib/key/secret-key.ts'
import { createBb84LinkConnector, createBb84LinkListener } from '../../../../lib/qll/bb84/link/bb84-link-tcp.ts'
import { SeededRandom } from '../../../../lib/qll/bb84/random.ts'
import { MESSAGE } from '../../../../lib/qll/bb84/session/conversation.ts'
import type { BlockReport } from '../../../../lib/qll/bb84/session/report.ts'
import { SharedKeyTranscripts } from '../../../../lib/qll/bb84/session/shared-key-transcripts.ts'
import { TelemetryHub } from '../../../../lib/telemetry.ts'
import { BlockMatcher } from '../../../compliance/block-matcher.ts'
import { SMALL_LINK } from '../../../helpers/bb84-link.ts'
import { createFrameRelay, type FrameTamper, type Sender } from '../../../helpers/frame-relay.ts'

/** Two ends over TCP with somebody on the line. */
async function attackedLink({ record = false } = {}) {
  const psk = SecretKey.random(32)
  const bootstrap = () => new SharedKeyTranscripts(psk)
  const telemetry = new TelemetryHub()
  const reports: (BlockReport & { end: Sender })[] = []
  // An end that waits for what somebody has taken away gives up soon.
  const common = { ...SMALL_LINK, bootstrap, blockTimeoutMs: 300, backOff: { minMs: 2, maxMs: 10 } }
  const { link: alice, port } = await createBb84LinkListener({
    ...common,
    localSiteId: 'alice',
    remoteSiteId: 'bob',
    port: 0,
    telemetry,
    onBlock: report => reports.push({ ...report, end: 'alice' }),
  })
  const relay = await createFrameRelay(() => port, { record })
  const bob = createBb84LinkConnector({
    ...common,
    localSiteId: 'bob',
    remoteSiteId: 'alice',
    port: relay.port,
    onBlock: report => reports.push({ ...report, end: 'bob' }),
  })
  const matcher = new BlockMatcher([options => alice.nextBlock(options), options => bob.nextBlock(options)])
  return {
    alice,
    bob,
    relay,
    matcher,
    reports,
    telemetry,
    async [Symbol.asyncDispose]() {
      await Promise.all([alice.close(), bob.close()])
      await relay.close()
      psk.wipe()
    },
  }
}

/** The `nth` message of a sender in the sessions from now on, whatever it is, is spoilt once. */
const MANIPULATIONS: Record<string, (sender: Sender, nth: number, random: SeededRandom) => FrameTamper> = {
  'a flipped bit': (sender, nth, random) => (message, from, at) => {
    if (from === sender && at === nth) message[random.below(message.byteLength)]! ^= 1 << random.below(8)
    return [message]
  },
  'a dropped message': (sender, nth) => (message, from, at) => (from === sender && at === nth ? [] : [message]),
  'a repeated message': (sender, nth) => (message, from, at) =>
    from === sender && at === nth ? [message, message] : [message],
  'a late message': (sender, nth) => {
    let held: Buffer | undefined
    return (message, from, at) => {
      if (from === sender && at === nth) {
        held = message
        return []
      }
      if (from !== sender || held === undefined) return [message]
      const out = [message, held]
      held = undefined
      return out
    }
  },
}

/** Messages of a block are some 60; a place beyond them hits a later one. */
const PLACES = 90

describe('Bb84Link under attack', function () {
  this.timeout(60_000)

  for (const [name, manipulate] of Object.entries(MANIPULATIONS)) {
    it(`gives no two keys under one number and comes back after ${name} anywhere`, async () => {
      await using ends = await attackedLink()
      const random = SeededRandom.of(name.length)
      const { matcher, relay, alice, bob } = ends
      await matcher.match(3)
      for (let round = 0; round < 6; round++) {
        relay.tamper(manipulate(round % 2 === 0 ? 'alice' : 'bob', random.below(PLACES), random))
        // Both ends take all they can; the matcher fails at the first number with two keys.
        await matcher.match(40)
        await matcher.realign()
      }
      relay.tamper(undefined)
      await matcher.match(40)
      await matcher.realign()
      for (const { authentication } of [alice, bob]) {
        const { takenBits, spentBits, discardedBits, heldBits } = authentication
        expect(takenBits).to.equal(spentBits + discardedBits + heldBits)
        expect(spentBits).to.be.above(0)
      }
    })
  }

  it('gives no key from a block in which any one message was changed', async () => {
    // Every kind of message of a block, in the block that follows a good one.
    for (const [sender, type] of [
      ['bob', MESSAGE.clicks],
      ['alice', MESSAGE.sifted],
      ['bob', MESSAGE.sampled],
      ['alice', MESSAGE.parities],
      ['bob', MESSAGE.parities],
      ['alice', MESSAGE.amplify],
      ['bob', MESSAGE.verified],
    ] as const) {
      await using ends = await attackedLink()
      const { reports, relay, matcher } = ends
      await matcher.match(1)
      const hit = new Promise<bigint>(resolve => {
        let done = false
        relay.tamper((message, from) => {
          if (!done && from === sender && message[0] === type) {
            done = true
            message[message.byteLength >>> 1]! ^= 16
            // The ends work on the block behind the last one that Alice has finished.
            resolve(reports.filter(({ end }) => end === 'alice').at(-1)!.block + 1n)
          }
          return [message]
        })
      })
      // Taking makes room for blocks until one was hit, and then until the link has come back.
      const [block] = await Promise.all([hit, matcher.match(60)])
      const later = reports.filter(report => report.outcome === 'key' && report.block > block)
      expect(later, `${sender} ${type}`).to.have.length.above(0)
      expect(reports.filter(report => report.block === block && report.outcome === 'key')).to.deep.equal([])
      await matcher.realign()
    }
  })

  it('raises an alarm while somebody tampers, and clears it with the next key', async () => {
    await using ends = await attackedLink()
    const { matcher, relay, telemetry } = ends
    const alarms: string[] = []
    telemetry.subscribe(event => {
      if (event.type === 'alarm') alarms.push(`${event.id} ${event.severity} ${event.state}`)
    })
    await matcher.match(2)
    let spoilt = 0
    relay.tamper((message, from) => {
      if (from === 'bob' && message[0] === MESSAGE.sampled && spoilt++ < 1) message[3]! ^= 1
      return [message]
    })
    await matcher.match(60)
    expect(spoilt).to.be.above(1)
    expect(alarms).to.deep.equal([
      'link-authentication:alice-bob critical raised',
      'link-authentication:alice-bob critical cleared',
    ])
  })

  it('leaves no 16 bytes of a delivered block in what passed over either channel', async () => {
    await using ends = await attackedLink({ record: true })
    const secrets: Buffer[] = []
    for (let i = 0; i < 40; i++) {
      const [one, other] = await Promise.all([ends.alice.nextBlock(), ends.bob.nextBlock()])
      expect(one.secret.equals(other.secret)).to.equal(true)
      secrets.push(exportKey(one.secret))
    }
    await ends.bob.close()
    // Any 16 bytes hold one of these words whole.
    const words = new Set<bigint>()
    for (const secret of secrets) {
      for (let at = 0; at + 8 <= secret.byteLength; at += 8) words.add(secret.readBigUInt64LE(at))
    }
    expect(words.size).to.equal(40 * (256 / 8))
    const recording = Buffer.concat(ends.relay.recorded)
    expect(recording.byteLength).to.be.above(100_000)
    let found = 0
    for (let at = 0; at + 8 <= recording.byteLength; at++) if (words.has(recording.readBigUInt64LE(at))) found++
    expect(found).to.equal(0)
  })
})
