import { randomBytes } from 'node:crypto'
import { expect } from 'chai'
import { oneTimePad, oneTimeTag, SecretKey, verifyOneTimeTag } from '../../lib/index.ts'

describe('oneTimePad', () => {
  it('hides a message and gives it back under the same key', () => {
    const [bytes, message] = [randomBytes(1000), randomBytes(1000)]
    const hidden = oneTimePad(SecretKey.copyOf(bytes), message)
    expect(hidden.every((byte, i) => byte === (message[i]! ^ bytes[i]!))).to.equal(true)
    expect(oneTimePad(SecretKey.copyOf(bytes), hidden).equals(message)).to.equal(true)
  })

  it('uses its key up, so that it can serve no second message', () => {
    const key = SecretKey.random(4)
    oneTimePad(key, Buffer.from('once'))
    expect(key.wiped).to.equal(true)
    expect(() => oneTimePad(key, Buffer.from('more'))).to.throw()
  })

  it('takes as many bytes of key as of message, no more and no less', () => {
    for (const sizeBytes of [3, 5]) {
      const key = SecretKey.random(sizeBytes)
      expect(() => oneTimePad(key, Buffer.from('four'))).to.throw(`${sizeBytes} bytes does not fit 4`)
      expect(key.wiped).to.equal(false)
    }
  })
})

describe('oneTimeTag', () => {
  // RFC 8439, section 2.5.2.
  const key = () =>
    SecretKey.copyOf(Buffer.from('85d6be7857556d337f4452fe42d506a80103808afb0db2fd4abff6af4149f51b', 'hex'))
  const parts = [Buffer.from('Cryptographic Forum '), Buffer.from('Research Group')]

  it('is that of the standard, and verifies at the other end', () => {
    const tag = oneTimeTag(key(), parts)
    expect(tag.toString('hex')).to.equal('a8061dc1305136c6c22b8baf0c0127a9')
    expect(verifyOneTimeTag(key(), parts, tag)).to.equal(true)
  })

  it('verifies nothing else: no other message, tag or key', () => {
    const tag = oneTimeTag(key(), parts)
    expect(verifyOneTimeTag(key(), [Buffer.from('Cryptographic Forum Research Grouq')], tag)).to.equal(false)
    expect(verifyOneTimeTag(SecretKey.random(32), parts, tag)).to.equal(false)
    expect(verifyOneTimeTag(key(), parts, tag.subarray(1))).to.equal(false)
    for (let bit = 0; bit < 128; bit += 1) {
      const changed = Buffer.from(tag)
      changed[bit >> 3]! ^= 1 << (bit & 7)
      expect(verifyOneTimeTag(key(), parts, changed)).to.equal(false)
    }
  })

  it('uses its key up, also where the tag is wrong', () => {
    const [one, two] = [key(), key()]
    oneTimeTag(one, parts)
    verifyOneTimeTag(two, parts, Buffer.alloc(16))
    expect([one.wiped, two.wiped]).to.deep.equal([true, true])
    expect(() => oneTimeTag(SecretKey.random(31), parts)).to.throw('32 bytes, not 31')
  })
})
