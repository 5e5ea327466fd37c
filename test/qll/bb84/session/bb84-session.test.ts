import { expect } from 'chai'
import { exportKey } from '../../../../lib/key/export-key.ts'
import { ChannelModel } from '../../../../lib/qll/bb84/model/channel-model.ts'
import { expectedBlock, pulsesFor } from '../../../../lib/qll/bb84/model/expected-block.ts'
import { BB84_PRESETS } from '../../../../lib/qll/bb84/model/presets.ts'
import { encodeRecords, type RecordSource } from '../../../../lib/qll/bb84/photons/records.ts'
import type { Bb84Session } from '../../../../lib/qll/bb84/session/bb84-session.ts'
import { predictedLength } from '../../../../lib/qll/bb84/session/key-length.ts'
import { agreeParameters } from '../../../../lib/qll/bb84/session/parameters.ts'
import {
  createPair,
  nextBlocks,
  type PairOptions,
  SHORT_BLOCK_PROTOCOL,
  sameSecrets,
} from '../../../helpers/bb84-pair.ts'
import { rejectsWith } from '../../../helpers/rejects-with.ts'
import { TamperingChannel } from '../../../helpers/tampering-channel.ts'

/** Opens a pair, hands it to `use`, and closes it. */
async function withPair<T>(
  options: PairOptions,
  use: (pair: { alice: Bb84Session; bob: Bb84Session }) => Promise<T>,
): Promise<T> {
  const pair = createPair(options)
  try {
    return await use(await pair.open())
  } finally {
    await pair.close()
  }
}

describe('Bb84Session', () => {
  it('gives both ends the same numbered secrets, block after block', () =>
    withPair({ parameters: { blockSizeBytes: 1024 } }, async ends => {
      const numbers: bigint[] = []
      for (let i = 0; i < 3; i++) {
        const { alice, bob } = await nextBlocks(ends)
        expect(alice.report.outcome).to.equal('key')
        expect(alice.secrets).to.have.length.above(4)
        expect(sameSecrets(alice.secrets, bob.secrets)).to.equal(true)
        for (const { secret } of alice.secrets) expect(secret.sizeBytes).to.equal(1024)
        numbers.push(...alice.secrets.map(({ number }) => number))
      }
      expect(numbers).to.deep.equal([...new Set(numbers)].sort((a, b) => (a < b ? -1 : 1)))
    }))

  it('gives secrets that look random, no two alike', () =>
    withPair({}, async ends => {
      const { secrets } = (await nextBlocks(ends)).alice
      const bytes = Buffer.concat(secrets.map(({ secret }) => exportKey(secret)))
      const ones = bytes.reduce((sum, byte) => sum + byte.toString(2).replaceAll('0', '').length, 0)
      const bits = 8 * bytes.byteLength
      expect(Math.abs(ones - bits / 2)).to.be.below(5 * Math.sqrt(bits / 4))
      const runs = new Set(Array.from({ length: bytes.byteLength / 8 }, (_, i) => bytes.readBigUInt64LE(8 * i)))
      expect(runs.size).to.equal(bytes.byteLength / 8)
    }))

  it('puts what it saw, disclosed, spent and promises on record, alike at both ends', () =>
    withPair({}, async ends => {
      const { alice, bob } = await nextBlocks(ends)
      const { report } = alice
      const same = [
        'block',
        'pulses',
        'siftedBits',
        'keyBits',
        'qber',
        'leakedBits',
        'secretBits',
        'deliveredBits',
      ] as const
      for (const field of same) expect(report[field], field).to.equal(bob.report[field])
      expect(report.qber).to.be.closeTo(0.004, 0.002)
      expect(report.efficiency).to.be.within(1, 1.15)
      expect(report.secretBits).to.be.at.most(report.bounds!.secretBits)
      expect(report.secretBits).to.be.above(report.bounds!.secretBits - 8)
      expect(report.deliveredBits + report.authenticationBits).to.be.at.most(report.secretBits)
      expect(report.epsilon).to.be.within(1e-10, 1.001e-10)
      expect(report.authenticationSpentBits).to.equal(5 * 128)
      expect(report.leakedBits).to.be.below(report.keyBits / 10)
      expect(report.stageMs).to.have.all.keys('sifting', 'estimation', 'correction', 'verification', 'amplification')
    }))

  it('fills its authentication key up out of what it distils, and never by more than the block gave', () =>
    withPair({ keyBytes: 2 * 16 * 12, parameters: { reserveTags: 20 } }, async ends => {
      for (let i = 0; i < 3; i++) {
        const { report } = (await nextBlocks(ends)).alice
        expect(report.authenticationBits).to.be.below(report.secretBits)
        expect(ends.alice.account).to.deep.equal(ends.bob.account)
        expect(ends.alice.account.remainingTags).to.equal(20)
      }
    }))

  it('gives a block up whose key would not feed authentication, without disclosing any of it', () =>
    withPair({ keyBits: 2 ** 15 }, async ends => {
      const { alice, bob } = await nextBlocks(ends)
      for (const { report, secrets } of [alice, bob]) {
        expect(secrets).to.deep.equal([])
        expect(report.outcome).to.equal('aborted')
        expect(report.reason).to.match(/no key is left at an error rate of 0\.\d+ %/)
        expect(report.leakedBits).to.equal(0)
      }
      expect(ends.alice.account).to.deep.equal(ends.bob.account)
    }))

  it('ends with an error when aborted blocks have used the authentication key up', () =>
    withPair({ keyBits: 2 ** 15, keyBytes: 2 * 16 * 8, parameters: { reserveTags: 8 } }, async ends => {
      const run = async () => {
        for (let i = 0; i < 10; i++) await nextBlocks(ends)
      }
      await rejectsWith(run(), 'ERR_QKD_POOL_EXHAUSTED')
      await rejectsWith(ends.alice.nextBlock(), 'ERR_QKD_CLOSED')
    }))

  for (const interceptFraction of [0, 0.02, 0.1, 0.3]) {
    it(`sees ${interceptFraction * 100} % of the pulses intercepted as a quarter of that in the error rate`, () =>
      withPair({ interceptFraction }, async ends => {
        const { report } = (await nextBlocks(ends)).bob
        const { receiver } = BB84_PRESETS['li-2023']
        const free = new ChannelModel(receiver, { lengthKm: 10 }).qber(0.6)
        const { rate, upper, lower } = report.estimate!
        expect(free + interceptFraction / 4).to.be.within(lower, upper)
        const expected = free + interceptFraction / 4
        expect(rate).to.be.closeTo(expected, 5 * Math.sqrt((expected * (1 - expected)) / 8192))
      }))
  }

  it('has key left as long as the theory has, and gives up where it has none', async () => {
    const { receiver } = BB84_PRESETS['li-2023']
    const parameters = agreeParameters({ protocol: SHORT_BLOCK_PROTOCOL })
    const theory = (interceptFraction: number) => {
      const channel = new ChannelModel(receiver, { lengthKm: 10, interceptFraction })
      const block = expectedBlock(channel, SHORT_BLOCK_PROTOCOL, pulsesFor(channel, SHORT_BLOCK_PROTOCOL, 2 ** 17))
      return predictedLength(block, { errorRate: block.qber, parameters }).secretBits
    }
    let [some, none] = [0, 1]
    while (none - some > 1e-3) {
      const middle = (some + none) / 2
      if (theory(middle) > 0) some = middle
      else none = middle
    }
    expect(some).to.be.within(0.05, 0.3)
    for (const [share, outcome] of [
      [0.7, 'key'],
      [1.3, 'aborted'],
    ] as const) {
      const { alice } = await withPair({ interceptFraction: share * some }, nextBlocks)
      expect(alice.report.outcome, alice.report.reason).to.equal(outcome)
    }
  })

  it('gives up above the limit of the error rate, whatever the bounds say', () =>
    withPair({ interceptFraction: 0.5 }, async ends => {
      const { alice, bob } = await nextBlocks(ends)
      expect(alice.report.reason).to.match(/error rate of 1\d\.\d+ % is above the limit of 11\.00 %/)
      expect(bob.report.reason).to.equal(alice.report.reason)
      expect(alice.report.correctionRounds).to.equal(0)
    }))

  it('goes on after a block that was given up', () => {
    let blocks = 0
    const noisyFirst = (records: RecordSource): RecordSource => ({
      next: async options => {
        const seen = await records.next(options)
        if (blocks++ === 0) for (let i = 0; i < seen.states.length; i += 3) seen.states[i]! ^= 1
        return seen
      },
    })
    return withPair(
      { wrapRecords: (records, role) => (role === 'bob' ? noisyFirst(records) : records) },
      async ends => {
        expect((await nextBlocks(ends)).alice.report.outcome).to.equal('aborted')
        const { alice, bob } = await nextBlocks(ends)
        expect(alice.report.outcome).to.equal('key')
        expect(sameSecrets(alice.secrets, bob.secrets)).to.equal(true)
      },
    )
  })

  it('finds the next common block when one side has lost records', () => {
    const forgetful = (lost: number) => (records: RecordSource) => {
      let asked = 0
      return { next: async () => (asked++ === 0 ? skip(records, lost) : records.next()) }
    }
    const skip = async (records: RecordSource, lost: number) => {
      for (let i = 0; i < lost; i++) await records.next()
      return records.next()
    }
    const losing = (role: string) => ({
      wrapRecords: (records: RecordSource, at: string) => (at === role ? forgetful(1)(records) : records),
    })
    return withPair(losing('bob'), async ends => {
      expect((await nextBlocks(ends)).alice.report.outcome).to.equal('key')
    }).then(() =>
      withPair(losing('alice'), async ends => {
        expect((await nextBlocks(ends)).bob.report.reason).to.match(/not at the same block/)
        expect((await nextBlocks(ends)).bob.report.outcome).to.equal('key')
      }),
    )
  })

  it('numbers secrets by the counter that Alice is given, in a row within a block', () => {
    let last = 100n
    // The counter jumps once, as if another taker had told of a higher number.
    const nextNumber = () => (last += last === 101n ? 50n : 1n)
    const parameters = { blockSizeBytes: 1024 }
    return withPair({ parameters, session: () => ({ nextNumber }) }, async ends => {
      const { alice, bob } = await nextBlocks(ends)
      const numbers = bob.secrets.map(({ number }) => number)
      expect(numbers[0]).to.equal(151n)
      expect(numbers).to.deep.equal(numbers.map((_, i) => 151n + BigInt(i)))
      expect(alice.secrets.map(({ number }) => number)).to.deep.equal(numbers)
    })
  })

  it('refuses an end with other parameters, and one with another key', async () => {
    const other = createPair({
      session: role => (role === 'bob' ? { parameters: { protocol: SHORT_BLOCK_PROTOCOL, frameBits: 2048 } } : {}),
    })
    await rejectsWith(other.open(), 'ERR_QKD_PROTOCOL')
    await other.close()
    const { WegmanCarter } = await import('../../../../lib/key/wegman-carter.ts')
    const { SecretKey } = await import('../../../../lib/key/secret-key.ts')
    const stranger = () => ({ authenticator: new WegmanCarter(SecretKey.random(4096), { role: 'responder' }) })
    const foreign = createPair({ session: role => (role === 'bob' ? stranger() : {}) })
    await rejectsWith(foreign.open(), 'ERR_QKD_UNAUTHORIZED')
    await foreign.close()
  })

  it('stops waiting when it is told to, or when the other end is gone', async () => {
    const pair = createPair()
    const { alice, bob } = await pair.open()
    const stop = new AbortController()
    const waiting = bob.nextBlock({ signal: stop.signal })
    stop.abort(new Error('enough'))
    await waiting.then(
      () => expect.fail('resolved'),
      reason => expect(reason.message).to.equal('enough'),
    )
    await pair.channels.bob.close()
    await rejectsWith(alice.nextBlock(), 'ERR_QKD_CLOSED')
    await pair.close()
  })

  it('leaves no 16 bytes of a secret in what passed over either channel', async () => {
    const passed: Buffer[] = []
    const channels: TamperingChannel[] = []
    const secrets = await withPair(
      {
        wrap: channel => {
          const recorder = new TamperingChannel(channel)
          channels.push(recorder)
          return recorder
        },
        wrapRecords: records => ({
          next: async options => {
            const seen = await records.next(options)
            passed.push(encodeRecords(seen))
            return seen
          },
        }),
      },
      async ends => (await nextBlocks(ends)).bob.secrets.map(({ secret }) => exportKey(secret)),
    )
    passed.push(...channels.flatMap(({ sent }) => sent))
    // Any 16 bytes hold one of these words whole.
    const words = new Set<bigint>()
    for (const secret of secrets) {
      for (let at = 0; at + 8 <= secret.byteLength; at += 8) words.add(secret.readBigUInt64LE(at))
    }
    expect(words.size).to.be.above(500)
    const recording = Buffer.concat(passed)
    let found = 0
    for (let at = 0; at + 8 <= recording.byteLength; at++) if (words.has(recording.readBigUInt64LE(at))) found++
    expect(found).to.equal(0)
    expect(words.has(secrets[0]!.readBigUInt64LE(8))).to.equal(true)
  })
})
