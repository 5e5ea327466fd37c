import { expect } from 'chai'
import type { QkdError } from '../../../../lib/errors.ts'
import {
  CascadeBatch,
  type CascadeOptions,
  type CascadeVariantName,
  cascadeWords,
} from '../../../../lib/qll/bb84/cascade/batch.ts'
import { PUBLISHED_VARIANTS } from '../../../../lib/qll/bb84/cascade/variants.ts'
import { SeededRandom } from '../../../../lib/qll/bb84/random.ts'

const variants: CascadeVariantName[] = ['default', ...(Object.keys(PUBLISHED_VARIANTS) as CascadeVariantName[])]

/** Alice's and Bob's bits, independent but for `errors` places in which they differ. */
function noisyPair(
  sizeBits: number,
  { frames, errors, random }: { frames: number; errors: number; random: SeededRandom },
) {
  const alice = new Uint32Array(cascadeWords(sizeBits, frames))
  for (let i = 0; i < sizeBits; i++) alice[i >>> 5]! |= (random.uint32() & 1) << (i & 31)
  const bob = alice.slice()
  const wrong = new Set<number>()
  while (wrong.size < errors) wrong.add(random.below(sizeBits))
  for (const at of wrong) bob[at >>> 5]! ^= 1 << (at & 31)
  return { alice, bob }
}

/** Runs both sides until they are done; each sends before it has heard of the other. */
function reconcile(alice: CascadeBatch, bob: CascadeBatch): void {
  for (;;) {
    const [fromAlice, fromBob] = [alice.next(), bob.next()]
    expect(fromAlice === undefined).to.equal(fromBob === undefined)
    if (fromAlice === undefined || fromBob === undefined) return
    alice.accept(fromBob)
    bob.accept(fromAlice)
  }
}

/** Whether the parities were found to contradict each other. */
function throws(talk: () => void): boolean {
  try {
    talk()
  } catch (error) {
    expect((error as QkdError).code).to.equal('ERR_QKD_PROTOCOL')
    return true
  }
  return false
}

function pairOf(options: Omit<CascadeOptions, 'corrects' | 'seed'>, errors: number) {
  const random = SeededRandom.of(4)
  const bits = noisyPair(options.sizeBits, { frames: options.frames, errors, random })
  const seed = new Uint8Array(16)
  random.fill(seed)
  return {
    bits,
    alice: new CascadeBatch(bits.alice, { ...options, seed, corrects: false }),
    bob: new CascadeBatch(bits.bob, { ...options, seed, corrects: true }),
  }
}

describe('CascadeBatch', () => {
  for (const variant of variants) {
    it(`brings Bob's bits to Alice's, frame beside frame, by the rules of ${variant}`, () => {
      const { bits, alice, bob } = pairOf({ sizeBits: 9_990, frames: 3, errorRate: 0.03, variant }, 300)
      const before = bits.alice.slice()
      reconcile(alice, bob)
      expect(bits.bob).to.deep.equal(bits.alice)
      expect(bits.alice).to.deep.equal(before)
    })
  }

  it('counts the same disclosure, rounds and errors at both sides', () => {
    const { alice, bob } = pairOf({ sizeBits: 20_000, frames: 2, errorRate: 0.02 }, 400)
    reconcile(alice, bob)
    expect(alice.disclosedBits).to.equal(bob.disclosedBits)
    expect(alice.rounds).to.equal(bob.rounds)
    expect([alice.correctedBits, bob.correctedBits]).to.deep.equal([400, 400])
  })

  it('sends one bit a question, and needs the rounds of its slowest frame only', () => {
    const rounds = (frames: number) => {
      const { alice, bob } = pairOf({ sizeBits: 4096 * frames, frames, errorRate: 0.02 }, 82 * frames)
      let bytes = 0
      for (let mine = alice.next(), theirs = bob.next(); mine && theirs; mine = alice.next(), theirs = bob.next()) {
        bytes += mine.byteLength
        alice.accept(theirs)
        bob.accept(mine)
      }
      expect(bytes).to.be.within(alice.disclosedBits / 8, alice.disclosedBits / 8 + alice.rounds)
      return alice.rounds
    }
    expect(rounds(16)).to.be.below(4 * rounds(1))
  })

  it('corrects nothing where there is nothing to correct', () => {
    const { bits, alice, bob } = pairOf({ sizeBits: 5000, frames: 1, errorRate: 0.01 }, 0)
    reconcile(alice, bob)
    expect(bob.correctedBits).to.equal(0)
    expect(bits.bob).to.deep.equal(bits.alice)
  })

  it('refuses a message that is not as long as the round', () => {
    const { alice } = pairOf({ sizeBits: 5000, frames: 1, errorRate: 0.01 }, 50)
    const message = alice.next()!
    expect(() => alice.accept(message.subarray(1))).to.throw(/does not belong/)
  })

  for (const variant of variants) {
    it(`comes to an end against a peer who answers at random, by the rules of ${variant}`, () => {
      const random = SeededRandom.of(5)
      for (let i = 0; i < 20; i++) {
        const { alice } = pairOf({ sizeBits: 1000, frames: 1, errorRate: 0.03, variant }, 30)
        const talk = () => {
          for (let mine = alice.next(); mine !== undefined; mine = alice.next()) {
            const noise = new Uint8Array(mine.byteLength)
            if (i === 0) noise.set(mine.map(byte => ~byte))
            else random.fill(noise)
            alice.accept(noise)
          }
        }
        if (!throws(talk)) expect(alice.exhausted).to.equal(true)
        expect(alice.disclosedBits).to.be.at.most(1000)
      }
    })
  }

  it('overwrites its copies of the bits', () => {
    const { bits, alice, bob } = pairOf({ sizeBits: 5000, frames: 1, errorRate: 0.02 }, 100)
    reconcile(alice, bob)
    const kept = bits.bob.slice()
    bob.wipe()
    expect(bits.bob).to.deep.equal(kept)
  })
})
