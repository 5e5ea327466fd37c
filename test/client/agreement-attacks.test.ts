import { expect } from 'chai'
import fc from 'fast-check'
import { createMemoryChannelPair } from '../../lib/channel/memory-channel.ts'
import { type AgreementMessage, decodeMessage, encodeMessage } from '../../lib/client/agreement/message.ts'
import type { AgreementOutcome } from '../../lib/client/agreement/outcome.ts'
import { exportKey } from '../../lib/key/export-key.ts'
import { rejectsWith } from '../helpers/rejects-with.ts'
import { createHosts, type Hosts, keyOf } from './agreement-hosts.ts'
import { createTappedChannel, type Delivery, type TappedMessage } from './tapped-channel.ts'

/** For agreements that are to wait in vain: a message that was altered may look like one of another agreement. */
const SHORT = { alice: { timeoutMs: 300 }, bob: { timeoutMs: 300 } }
/** The messages of an agreement, in order. */
const STEPS = [
  { from: 'alice', number: 0 },
  { from: 'bob', number: 0 },
  { from: 'alice', number: 1 },
  { from: 'bob', number: 1 },
] as const

/** Two outcomes of which none has a key but, if the last message is what was touched, the responder's. */
function expectNoAgreement([alice, bob]: readonly AgreementOutcome[], step: number, what: string): void {
  expect(alice!.outcome, `alice, ${what}`).to.not.equal('agreed')
  if (step < 3) expect(bob!.outcome, `bob, ${what}`).to.not.equal('agreed')
}

describe('an agreement under attack', () => {
  let hosts: Hosts
  before(async () => {
    hosts = await createHosts()
  })
  after(() => hosts?.[Symbol.asyncDispose]())
  beforeEach(() => hosts.forget())

  /** One agreement with somebody on the channel who does `deed` to the message of `step` and passes the others on. */
  async function underAttack(step: number, deed: (message: TappedMessage) => Delivery) {
    const target = STEPS[step]!
    await using channel = createTappedChannel(message =>
      message.from === target.from && message.number === target.number ? deed(message) : { on: [message.bytes] },
    )
    // The outcome of an end whose own KMS was made to fail is that failure.
    const settled = await Promise.allSettled([
      hosts.initiate(channel.alice, SHORT.alice),
      hosts.accept(channel.bob, SHORT.bob),
    ])
    return settled.map(result =>
      result.status === 'fulfilled'
        ? result.value
        : ({ outcome: 'peer-closed', burnedKeyId: String(result.reason) } as AgreementOutcome),
    )
  }

  it('comes about where nothing is altered', async () => {
    await using channel = createTappedChannel()
    for (const outcome of await hosts.agree(channel)) keyOf(outcome)
    expect(channel.seen.map(({ from, bytes }) => `${from} ${decodeMessage(bytes).type}`)).to.deep.equal([
      'alice offer',
      'bob ready',
      'alice selection',
      'bob confirmation',
    ])
  })

  it('sends neither the key nor that of the KMS', async () => {
    const secrets: Buffer[] = []
    hosts.alice.alter = keys => {
      secrets.push(...keys.map(({ secret }) => exportKey(secret)))
      return keys
    }
    await using channel = createTappedChannel()
    secrets.push(...(await hosts.agree(channel)).map(outcome => exportKey(keyOf(outcome).secret)))
    const sent = Buffer.concat(channel.seen.map(({ bytes }) => bytes))
    expect(secrets).to.have.length(3)
    for (const secret of secrets) {
      for (let at = 0; at < secret.byteLength; at += 8)
        expect(sent.includes(secret.subarray(at, at + 8))).to.equal(false)
    }
  })

  for (const [step, { from }] of STEPS.entries()) {
    it(`fails where message ${step + 1}, of ${from}, has one wrong bit`, async function () {
      this.timeout(60_000)
      const flips = Array.from({ length: 34 }, (_, n) => n)
      await Promise.all(
        flips.map(async n => {
          const outcomes = await underAttack(step, ({ bytes }) => {
            // Spread over the whole message, its last bytes included.
            bytes[(n * 7 + bytes.byteLength - 1) % bytes.byteLength]! ^= 1 << (n % 8)
            return { on: [bytes] }
          })
          expectNoAgreement(outcomes, step, `bit ${n}`)
        }),
      )
      expect(hosts.allWiped()).to.equal(true)
    })

    it(`fails where message ${step + 1}, of ${from}, is cut short, emptied of sense or lost`, async () => {
      const deeds: ((message: TappedMessage) => Delivery)[] = [
        ...[1, 4, 5, 36, 37, 50].map(length => ({ bytes }: TappedMessage) => ({ on: [bytes.subarray(0, length)] })),
        ({ bytes }) => ({ on: [bytes.subarray(0, -1)] }),
        ({ bytes }) => ({ on: [Buffer.concat([bytes, Buffer.alloc(1)])] }),
        ({ bytes }) => ({ on: [Buffer.alloc(bytes.byteLength)] }),
        () => ({ on: [Buffer.alloc(1024 * 1024)] }),
        () => ({}),
      ]
      const all = await Promise.all(deeds.map(deed => underAttack(step, deed)))
      for (const [n, outcomes] of all.entries()) expectNoAgreement(outcomes, step, `deed ${n}`)
      expect(hosts.allWiped()).to.equal(true)
    })

    it(`fails where message ${step + 1} comes back to ${from}`, async () => {
      expectNoAgreement(await underAttack(step, ({ bytes }) => ({ back: [bytes] })), step, 'reflected')
    })
  }

  it('fails where every message comes twice', async () => {
    await using channel = createTappedChannel(({ bytes }) => ({ on: [bytes, bytes] }))
    const [alice, bob] = await hosts.agree(channel)
    // The second offer stands where a selection should, the second answer where a confirmation should.
    expect([alice.outcome, bob.outcome]).to.deep.equal(['mismatch', 'mismatch'])
    expect(hosts.allWiped()).to.equal(true)
  })

  it('fails where two messages change places', async () => {
    let held: Uint8Array | undefined
    await using channel = createTappedChannel(({ from, number, bytes }) => {
      if (from === 'bob') return { on: [bytes] }
      // The selection can't be sent before the offer was answered, so an old one stands in for it.
      if (number === 0) {
        held = bytes
        const { agreementId } = decodeMessage(bytes)
        const early: AgreementMessage = {
          type: 'selection',
          agreementId,
          keyId: 'k',
          level: undefined,
          proof: Buffer.alloc(32),
        }
        return { on: [encodeMessage(early), held] }
      }
      return { on: [bytes] }
    })
    for (const outcome of await hosts.agree(channel)) keyOf(outcome)
    // A confirmation that comes before its time is no confirmation.
    const outcomes = await underAttack(1, ({ bytes }) => {
      const { agreementId } = decodeMessage(bytes)
      return { on: [encodeMessage({ type: 'confirmation', agreementId, proof: Buffer.alloc(32) }), bytes] }
    })
    expect(outcomes[0]).to.include({ outcome: 'mismatch', fault: 'wrong-message' })
    expectNoAgreement(outcomes, 1, 'a confirmation too early')
  })

  it('does not come about out of the messages of an earlier one', async () => {
    await using earlier = createTappedChannel()
    for (const outcome of await hosts.agree(earlier)) keyOf(outcome)
    const [offer, ready, selection, confirmation] = earlier.seen.map(({ bytes }) => bytes)
    // To Bob, in the place of Alice.
    const toBob = createMemoryChannelPair(['alice', 'bob'])
    await toBob[0].send(offer!)
    await toBob[0].send(selection!)
    await rejectsWith(hosts.accept(toBob[1]), 'ERR_QKD_KEY_NOT_FOUND')
    // To Alice, in the place of Bob: his old words have another number, and with the number of hers no proof.
    const fresh = (bytes: Uint8Array, agreementId: Uint8Array) =>
      encodeMessage({ ...decodeMessage(bytes), agreementId } as AgreementMessage)
    for (const renumber of [false, true]) {
      const [alice, bob] = createMemoryChannelPair(['alice', 'bob'])
      const initiating = hosts.initiate(alice, { timeoutMs: 200 })
      const { agreementId } = decodeMessage((await bob.receive())!)
      for (const bytes of [ready!, confirmation!]) await bob.send(renumber ? fresh(bytes, agreementId) : bytes)
      expect(await initiating).to.include(
        renumber ? { outcome: 'mismatch', fault: 'wrong-proof' } : { outcome: 'timed-out', waitingFor: 'peer' },
      )
    }
  })

  it('takes no proof of the initiator for one of the responder', async () => {
    const [alice, bob] = createMemoryChannelPair(['alice', 'bob'])
    const initiating = hosts.initiate(alice)
    const { agreementId } = decodeMessage((await bob.receive())!)
    await bob.send(encodeMessage({ type: 'ready', agreementId, nonce: Buffer.alloc(32) }))
    const { proof } = decodeMessage((await bob.receive())!) as { proof: Uint8Array }
    await bob.send(encodeMessage({ type: 'confirmation', agreementId, proof }))
    expect(await initiating).to.include({ outcome: 'mismatch', fault: 'wrong-proof' })
  })

  it('takes nobody for whom the channel does not take him', async () => {
    const offer = {
      type: 'offer',
      agreementId: Buffer.alloc(32, 1),
      purpose: 'test',
      sizeBits: 256,
      level: undefined,
    } as const
    for (const [masterSaeId, slaveSaeId] of [
      ['zoe', 'bob'],
      ['alice', 'carol'],
      ['bob', 'alice'],
    ] as const) {
      const [alice, bob] = createMemoryChannelPair(['alice', 'bob'])
      await alice.send(encodeMessage({ ...offer, masterSaeId, slaveSaeId }))
      expect(await hosts.accept(bob)).to.include({ outcome: 'mismatch', fault: 'wrong-names' })
      expect(decodeMessage((await alice.receive())!)).to.include({ type: 'refusal', code: 'wrong-names' })
    }
    expect(hosts.bob.fetches).to.equal(0)
  })

  it('does not give Carol at Bob’s site the key that was selected for Bob', async () => {
    const [alice, bob] = createMemoryChannelPair(['alice', 'bob'])
    const initiating = hosts.initiate(alice)
    const { agreementId } = decodeMessage((await bob.receive())!)
    await bob.send(encodeMessage({ type: 'ready', agreementId, nonce: Buffer.alloc(32) }))
    const { keyId } = decodeMessage((await bob.receive())!) as { keyId: string }
    await rejectsWith(hosts.carol.getKeyWithIds('alice', [keyId]), 'ERR_QKD_UNAUTHORIZED')
    await bob.close()
    expect(await initiating).to.deep.equal({ outcome: 'peer-closed', burnedKeyId: keyId })
  })

  it('bounds what an other end can leave over', async () => {
    const [alice, bob] = createMemoryChannelPair(['alice', 'bob'])
    const leftOver = encodeMessage({ type: 'confirmation', agreementId: Buffer.alloc(32), proof: Buffer.alloc(32) })
    for (let n = 0; n < 40; n += 1) await alice.send(leftOver)
    expect(await hosts.accept(bob)).to.deep.equal({
      outcome: 'mismatch',
      fault: 'wrong-message',
      burnedKeyId: undefined,
    })
  })

  it('ends with an outcome whatever an other end says', async function () {
    this.timeout(60_000)
    const id = fc.constantFrom(Buffer.alloc(32), Buffer.alloc(32, 1))
    const say = fc.oneof(
      fc.uint8Array({ minLength: 1, maxLength: 100 }),
      fc.record({ type: fc.constant('ready' as const), agreementId: id, nonce: id }).map(encodeMessage),
      fc.record({ type: fc.constant('confirmation' as const), agreementId: id, proof: id }).map(encodeMessage),
      fc
        .record({ agreementId: id, proof: id })
        .map(body => encodeMessage({ ...body, type: 'selection', keyId: 'k', level: undefined })),
      fc.record({ agreementId: id }).map(body =>
        encodeMessage({
          ...body,
          type: 'offer',
          masterSaeId: 'alice',
          slaveSaeId: 'bob',
          purpose: 'test',
          sizeBits: 256,
          level: undefined,
        }),
      ),
      fc.record({ agreementId: id }).map(body => encodeMessage({ ...body, type: 'refusal', code: 'busy' })),
    )
    await fc.assert(
      fc.asyncProperty(fc.array(say, { maxLength: 6 }), async words => {
        const [alice, bob] = createMemoryChannelPair(['alice', 'bob'])
        const accepting = hosts.accept(bob, { timeoutMs: 1_000 })
        for (const word of words) await alice.send(word)
        await alice.close()
        const outcome = await accepting.catch((error: { code?: string }) => error.code)
        // His KMS has never heard of the key_ID `k`.
        if (typeof outcome === 'string') expect(outcome).to.equal('ERR_QKD_KEY_NOT_FOUND')
        else expect((outcome as AgreementOutcome).outcome).to.be.oneOf(['mismatch', 'refused', 'peer-closed'])
      }),
      { numRuns: 500 },
    )
  })
})
