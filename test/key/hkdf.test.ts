import { createHmac, hkdfSync } from 'node:crypto'
import { expect } from 'chai'
import fc from 'fast-check'
import { InvalidArgumentError } from '../../lib/errors.ts'
import { exportKey } from '../../lib/key/export-key.ts'
import { type HashName, hkdf, hmacKey, hmacTag } from '../../lib/key/hkdf.ts'
import { SecretKey } from '../../lib/key/secret-key.ts'

const hex = (text: string) => Buffer.from(text, 'hex')
const bytes = (maxLength: number) => fc.uint8Array({ minLength: 1, maxLength })
const hashes = fc.constantFrom<HashName>('sha256', 'sha512')

describe('hmacTag', () => {
  // RFC 4231, sections 4.3 and 4.7: a short key, and one longer than a block.
  for (const [key, data, sha256] of [
    [
      Buffer.from('Jefe'),
      'what do ya want for nothing?',
      '5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843',
    ],
    [
      Buffer.alloc(131, 0xaa),
      'Test Using Larger Than Block-Size Key - Hash Key First',
      '60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54',
    ],
  ] as const) {
    it(`gives the RFC's tag for "${data}"`, () => {
      expect(hmacTag('sha256', SecretKey.copyOf(key), Buffer.from(data)).toString('hex')).to.equal(sha256)
    })
  }

  it('agrees with node:crypto on keys and data of every length', () => {
    fc.assert(
      fc.property(hashes, bytes(300), fc.uint8Array({ maxLength: 300 }), (hash, key, data) => {
        const secret = SecretKey.copyOf(key)
        const expected = createHmac(hash, key).update(data).digest()
        expect(hmacTag(hash, secret, data).equals(expected)).to.equal(true)
        expect(exportKey(hmacKey(hash, secret, data)).equals(expected)).to.equal(true)
        expect(exportKey(secret).equals(key)).to.equal(true)
      }),
    )
  })
})

describe('hkdf', () => {
  it("gives the RFC's key (RFC 5869, appendix A.1)", () => {
    const key = hkdf(SecretKey.copyOf(Buffer.alloc(22, 0x0b)), {
      hash: 'sha256',
      salt: hex('000102030405060708090a0b0c'),
      info: hex('f0f1f2f3f4f5f6f7f8f9'),
      sizeBytes: 42,
    })
    const expected = '3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865'
    expect(exportKey(key).toString('hex')).to.equal(expected)
  })

  it('agrees with node:crypto on every length of everything', () => {
    const lengths = fc.integer({ min: 1, max: 400 })
    const optional = fc.uint8Array({ maxLength: 200 })
    fc.assert(
      fc.property(hashes, bytes(200), optional, optional, lengths, (hash, key, salt, info, sizeBytes) => {
        const derived = hkdf(SecretKey.copyOf(key), { hash, salt, info, sizeBytes })
        expect(exportKey(derived).equals(Buffer.from(hkdfSync(hash, key, salt, info, sizeBytes)))).to.equal(true)
      }),
    )
  })

  it('goes up to 255 hashes, and refuses more', () => {
    const secret = SecretKey.random(32)
    const options = { hash: 'sha256', info: 'é' } as const
    const expected = Buffer.from(hkdfSync('sha256', exportKey(secret), '', 'é', 255 * 32))
    expect(exportKey(hkdf(secret, { ...options, sizeBytes: 255 * 32 })).equals(expected)).to.equal(true)
    expect(() => hkdf(secret, { ...options, sizeBytes: 255 * 32 + 1 })).to.throw(InvalidArgumentError)
  })
})
