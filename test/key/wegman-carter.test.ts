import { randomBytes } from 'node:crypto'
import { expect } from 'chai'
import { SecretKey } from '../../lib/key/secret-key.ts'
import { forgeryBound, TAG_BYTES, WegmanCarter } from '../../lib/key/wegman-carter.ts'

/** Both sides under one key of so many bytes. */
function pairOf(sizeBytes: number, refreshAfterTags?: number) {
  const bytes = randomBytes(sizeBytes)
  const side = (role: 'initiator' | 'responder') =>
    new WegmanCarter(SecretKey.copyOf(bytes), { role, ...(refreshAfterTags && { refreshAfterTags }) })
  return { alice: side('initiator'), bob: side('responder') }
}

const tagFrom = (side: WegmanCarter, message: Uint8Array) => side.tag(side.outgoingHash().update(message))
const verifies = (side: WegmanCarter, message: Uint8Array, tag: Uint8Array) =>
  side.verify(side.incomingHash().update(message), tag)

describe('WegmanCarter', () => {
  const message = Buffer.from('which bits become key')

  it('verifies what the other side tagged, in both directions', () => {
    const { alice, bob } = pairOf(256)
    for (let i = 0; i < 5; i++) {
      expect(verifies(bob, message, tagFrom(alice, message))).to.equal(true)
      expect(verifies(alice, message, tagFrom(bob, message))).to.equal(true)
    }
  })

  it('tags the same message differently each time and in each direction', () => {
    const { alice, bob } = pairOf(256)
    const tags = [alice, alice, bob, bob].map(side => tagFrom(side, message).toString('hex'))
    expect(new Set(tags).size).to.equal(4)
  })

  it('refuses a changed message, a changed tag, a replayed tag and a tag sent back', () => {
    const changed = Buffer.from(message)
    changed[3]! ^= 1
    const first = pairOf(256)
    expect(verifies(first.bob, changed, tagFrom(first.alice, message))).to.equal(false)
    const second = pairOf(256)
    const tag = tagFrom(second.alice, message)
    expect(verifies(second.bob, message, tag)).to.equal(true)
    expect(verifies(second.bob, message, tag)).to.equal(false)
    const third = pairOf(256)
    expect(verifies(third.alice, message, tagFrom(third.alice, message))).to.equal(false)
    const fourth = pairOf(256)
    expect(verifies(fourth.bob, message, tagFrom(fourth.alice, message).subarray(1))).to.equal(false)
  })

  it('accounts for every bit: a point and a pad a tag, in each direction', () => {
    const { alice, bob } = pairOf(2 * 16 * 10)
    expect(alice.account).to.deep.equal({ spentBits: 256, addedBits: 2560, remainingTags: 9 })
    verifies(bob, message, tagFrom(alice, message))
    for (const side of [alice, bob]) {
      expect(side.account).to.deep.equal({ spentBits: 256 + 128, addedBits: 2560, remainingTags: 8 })
    }
  })

  it('spends a pad on a tag that does not verify', () => {
    const { bob } = pairOf(256)
    verifies(bob, message, Buffer.alloc(TAG_BYTES))
    expect(bob.account.remainingTags).to.equal(6)
  })

  it('stops when its key is used up, and goes on when both sides get more', () => {
    const { alice, bob } = pairOf(2 * 16 * 2)
    verifies(bob, message, tagFrom(alice, message))
    expect(() => tagFrom(alice, message))
      .to.throw()
      .with.property('code', 'ERR_QKD_POOL_EXHAUSTED')
    const more = randomBytes(alice.shortfallBytes(3))
    for (const side of [alice, bob]) side.replenish(SecretKey.copyOf(more))
    expect(alice.account.remainingTags).to.equal(3)
    for (let i = 0; i < 3; i++) expect(verifies(bob, message, tagFrom(alice, message))).to.equal(true)
  })

  it('joins pads across pieces of key that do not end on one', () => {
    const { alice, bob } = pairOf(2 * 16)
    for (let i = 0; i < 8; i++) {
      const more = randomBytes(2 * 7)
      for (const side of [alice, bob]) side.replenish(SecretKey.copyOf(more))
    }
    for (let i = 0; i < 3; i++) expect(verifies(bob, message, tagFrom(alice, message))).to.equal(true)
    expect(alice.account.remainingTags).to.equal(0)
  })

  it('draws a fresh point when it is time, and both sides agree on when', () => {
    const { alice, bob } = pairOf(2 * 16 * 20, 3)
    for (let i = 0; i < 9; i++) expect(verifies(bob, message, tagFrom(alice, message))).to.equal(true)
    // Nine tags and three points after the first, of nineteen pads.
    expect(bob.account.remainingTags).to.equal(19 - 9 - 3)
  })

  it('wipes the key it is given and, on request, the key it holds', () => {
    const secret = SecretKey.random(64)
    const side = new WegmanCarter(secret, { role: 'initiator' })
    expect(secret.wiped).to.equal(true)
    side.wipe()
    expect(side.account.remainingTags).to.equal(0)
  })

  it('bounds a forgery by the length of the message', () => {
    expect(forgeryBound(1 << 20)).to.be.within(2 ** -88, 2 ** -86)
    expect(forgeryBound(0)).to.be.above(0)
  })
})
