import { expect } from 'chai'
import { EpochKey } from '../../lib/key/epoch-key.ts'
import { SecretKey } from '../../lib/key/secret-key.ts'

describe('EpochKey', () => {
  it('comes to the same next key on every host that has it', () => {
    const first = EpochKey.first()
    const stored = first.stored()
    const elsewhere = EpochKey.restore(stored)
    expect(elsewhere.epoch).to.equal(0)
    const [ours, theirs] = [first.next().next(), elsewhere.next().next()]
    expect(ours.epoch).to.equal(2)
    expect(theirs.key.equals(ours.key)).to.equal(true)
    expect(ours.key.equals(first.key)).to.equal(false)
  })

  it('begins another line each time', () => {
    expect(EpochKey.first().key.equals(EpochKey.first().key)).to.equal(false)
  })

  it('refuses a secret that is no stored key', () => {
    expect(() => EpochKey.restore(SecretKey.random(32))).to.throw(/format/)
  })

  it('is copied and wiped apart from the copy', () => {
    const key = EpochKey.first()
    const copy = key.copy()
    key.wipe()
    expect(key.key.wiped).to.equal(true)
    expect(copy.wiped).to.equal(false)
  })
})
