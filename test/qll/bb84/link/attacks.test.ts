import { expect } from 'chai'
import { exportKey } from '../../../../lib/key/export-key.ts'
import { SeededRandom } from '../../../../lib/qll/bb84/random.ts'
import { MESSAGE } from '../../../../lib/qll/bb84/session/conversation.ts'
import { attackedLink, attackOnce, auditAuthentication, MANIPULATIONS } from '../../../helpers/attacked-link.ts'

describe('Bb84Link under attack', function () {
  this.timeout(60_000)

  for (const name of Object.keys(MANIPULATIONS)) {
    it(`gives no two keys under one number and comes back after ${name} anywhere`, async () => {
      await using ends = await attackedLink()
      const random = SeededRandom.of(name.length)
      await ends.matcher.match(3)
      for (let round = 0; round < 6; round++) {
        await attackOnce(ends, { name, sender: round % 2 === 0 ? 'alice' : 'bob', random })
      }
      ends.relay.tamper(undefined)
      await ends.matcher.match(40)
      auditAuthentication(ends)
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
