import { expect } from 'chai'
import { MESSAGE } from '../../../../lib/qll/bb84/session/conversation.ts'
import { createPair, type Role, sameSecrets, secretsOf } from '../../../helpers/bb84-pair.ts'
import { type Tamper, TamperingChannel } from '../../../helpers/tampering-channel.ts'

/** Weak promises, so that a block is small and fast and still has key. */
const SMALL = { secrecy: 1e-3, sampleBits: 512, frameBits: 8192, reserveTags: 16, blockSizeBytes: 256 }

/** After these an end waits for what never comes: its deadline is short, and fewer messages are tried. */
const SILENT = new Set(['dropping', 'swapping with the next one'])

/** The `nth` message of a type that an end sends. */
interface Target {
  readonly type: number
  readonly nth: number
}

/** Every kind of message but the greeting, and parities early and late: the number of rounds is another each time. */
const TARGETS: Record<Role, readonly Target[]> = {
  alice: [
    { type: MESSAGE.start, nth: 0 },
    { type: MESSAGE.sifted, nth: 0 },
    { type: MESSAGE.parities, nth: 0 },
    { type: MESSAGE.parities, nth: 1 },
    { type: MESSAGE.parities, nth: 25 },
    { type: MESSAGE.amplify, nth: 0 },
    { type: MESSAGE.done, nth: 0 },
  ],
  bob: [
    { type: MESSAGE.clicks, nth: 0 },
    { type: MESSAGE.clicks, nth: 1 },
    { type: MESSAGE.sampled, nth: 0 },
    { type: MESSAGE.parities, nth: 0 },
    { type: MESSAGE.parities, nth: 25 },
    { type: MESSAGE.verified, nth: 0 },
  ],
}

/** Ways to spoil the target among the messages of an end. */
const MANIPULATIONS: Record<string, (isTarget: (message: Buffer) => boolean) => Tamper> = {
  'a bit flipped in': isTarget => message => {
    if (isTarget(message)) message[Math.floor(message.byteLength / 2)]! ^= 4
    return [message]
  },
  'the last bit flipped in': isTarget => message => {
    if (isTarget(message)) message[message.byteLength - 1]! ^= 1
    return [message]
  },
  dropping: isTarget => message => (isTarget(message) ? [] : [message]),
  repeating: isTarget => message => (isTarget(message) ? [message, message] : [message]),
  'swapping with the next one': isTarget => {
    let held: Buffer | undefined
    return message => {
      if (held === undefined && isTarget(message)) {
        held = message
        return []
      }
      const out = held === undefined ? [message] : [message, held]
      held = undefined
      return out
    }
  },
  'cutting short': isTarget => message => [isTarget(message) ? message.subarray(0, message.byteLength - 1) : message],
  'the one before again in place of': isTarget => {
    let before: Buffer = Buffer.of(0)
    let armed = false
    return message => {
      armed ||= isTarget(message)
      // Two late messages of parities may be the same few bits: then the next one is spoilt.
      const spoils = armed && !before.equals(message)
      const out = spoils ? before : message
      if (spoils) armed = false
      before = message
      return [out]
    }
  },
}

/** True for the target, once. */
function matcher({ type, nth }: Target): (message: Buffer) => boolean {
  let seen = 0
  return message => message[0] === type && seen++ === nth
}

/** One block with the channel of one end under `tamper`; the ends are shut as soon as one fails. */
async function blockUnder(tamper: Tamper, from: Role, blockTimeoutMs = 10_000) {
  const taps: Partial<Record<Role, TamperingChannel>> = {}
  const pair = createPair({
    keyBits: 2 ** 15,
    parameters: SMALL,
    wrap: (channel, role) => {
      taps[role] = new TamperingChannel(channel, role === from ? tamper : undefined)
      return taps[role]
    },
    session: () => ({ blockTimeoutMs }),
  })
  const { alice, bob } = await pair.open()
  const shut = async (reason: unknown) => {
    await pair.close()
    throw reason
  }
  const [first, second] = await Promise.all([
    secretsOf(alice.nextBlock().catch(shut)),
    secretsOf(bob.nextBlock().catch(shut)),
  ])
  await pair.close()
  return { alice: first, bob: second, sent: taps[from]!.sent, account: alice.account, other: bob.account }
}

describe('Bb84Session under tampering', () => {
  it('gives both ends their key when nobody tampers', async () => {
    const { alice, bob, sent } = await blockUnder(message => [message], 'alice')
    expect(alice).to.have.length.above(0)
    expect(sameSecrets(alice, bob)).to.equal(true)
    expect(sent.filter(message => message[0] === MESSAGE.parities)).to.have.length.above(26)
  })

  for (const role of ['alice', 'bob'] as const) {
    for (const [name, manipulate] of Object.entries(MANIPULATIONS)) {
      it(`gives no end a key, or none but Alice, after ${name} any message of ${role}`, async () => {
        const silent = SILENT.has(name)
        for (const target of TARGETS[role]) {
          if (silent && target.nth > 0) continue
          const { alice, bob } = await blockUnder(manipulate(matcher(target)), role, silent ? 250 : 700)
          const where = `message ${target.nth} of type ${target.type}`
          const repeated = name === 'repeating'
          if (repeated && (target.type === MESSAGE.verified || target.type === MESSAGE.done)) {
            // Nobody listens any more: the copy spoils the next block.
            expect(sameSecrets(alice, bob), where).to.equal(true)
            continue
          }
          expect(bob, where).to.have.length(0)
          // Once Bob's word that all is well has come to Alice, nobody can keep him from missing her answer to it.
          const afterBobsWord = target.type === MESSAGE.done || (repeated && target.type === MESSAGE.amplify)
          if (!afterBobsWord) expect(alice, where).to.have.length(0)
        }
      })
    }
  }

  it('spends authentication key on what it cannot verify, and gives none back', async () => {
    const flip = MANIPULATIONS['a bit flipped in']!(matcher({ type: MESSAGE.sifted, nth: 0 }))
    const { account, other } = await blockUnder(flip, 'alice')
    // Points, greetings and their answers in both directions, then the tag that failed.
    expect(account.spentBits).to.equal(128 * (2 + 2 + 2 + 1))
    expect(other).to.deep.equal(account)
  })
})
