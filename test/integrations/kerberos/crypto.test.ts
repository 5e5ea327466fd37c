import { readFileSync } from 'node:fs'
import { expect } from 'chai'
import fc from 'fast-check'
import { decryptCts, encryptCts } from '../../../integrations/kerberos/crypto/aes-cts.ts'
import { checksum, decrypt, encrypt, prf, stringToKey } from '../../../integrations/kerberos/crypto/encryption.ts'
import { CIPHERS, deriveKey } from '../../../integrations/kerberos/crypto/key-derivation.ts'
import { nFold } from '../../../integrations/kerberos/crypto/n-fold.ts'
import { ENCTYPES, type Enctype, type KerberosKey } from '../../../integrations/kerberos/enctype.ts'
import { SecretKey } from '../../../lib/key/secret-key.ts'

/** Published: RFC 3961 (nFold), RFC 3962 (stringToKey 17 and 18, cts), RFC 8009 (19 and 20), MIT's own for the rest. */
interface Vectors {
  readonly nFold: { input: string; bits: number; foldedHex: string }[]
  readonly cts: string[]
  readonly stringToKey: { enctype: Enctype; passwordHex: string; saltHex: string; iterations: number; keyHex: string }[]
  readonly derive: { enctype: Enctype; baseHex: string; labelHex: string; keyHex: string }[]
  readonly prf: { enctype: Enctype; keyHex: string; inputHex: string; outputHex: string }[]
  readonly checksum: { enctype: Enctype; usage: number; dataHex: string; keyHex: string; checksumHex: string }[]
  readonly encrypt: { enctype: Enctype; plainHex: string; usage: number; keyHex: string; sealedHex: string }[]
}

const vectors: Vectors = JSON.parse(
  readFileSync(new URL('../../vectors/kerberos-crypto.json', import.meta.url), 'utf8'),
)
const hex = (text: string) => Buffer.from(text, 'hex')
const keyOf = (enctype: Enctype, text: string): KerberosKey => ({ enctype, secret: SecretKey.copyOf(hex(text)) })

describe('nFold', () => {
  for (const { input, bits, foldedHex } of vectors.nFold) {
    it(`folds ${JSON.stringify(input)} to ${bits} bits as RFC 3961, appendix A.1, says`, () => {
      expect(nFold(Buffer.from(input), bits / 8).toString('hex')).to.equal(foldedHex)
    })
  }
})

describe('encryptCts', () => {
  const key = Buffer.from('chicken teriyaki')
  const text = Buffer.from("I would like the General Gau's Chicken, please, and wonton soup.")

  for (const sealed of vectors.cts) {
    it(`gives the ${sealed.length / 2} bytes of RFC 3962, appendix B, and back`, () => {
      const plain = text.subarray(0, sealed.length / 2)
      expect(encryptCts(key, plain).toString('hex')).to.equal(sealed)
      expect(decryptCts(key, hex(sealed))).to.deep.equal(plain)
    })
  }
})

describe('stringToKey', () => {
  for (const { enctype, passwordHex, saltHex, iterations, keyHex } of vectors.stringToKey) {
    it(`gives the published key of type ${enctype} after ${iterations} rounds (${passwordHex.length / 2} characters)`, () => {
      const { secret } = stringToKey(enctype, hex(passwordHex), { salt: hex(saltHex), iterations })
      expect(secret.equals(SecretKey.copyOf(hex(keyHex)))).to.equal(true)
    })
  }

  it('refuses a number of rounds that nobody waits for', () => {
    expect(() => stringToKey(18, 'a', { salt: 'b', iterations: 1e9 })).to.throw('out of range')
  })
})

describe('deriveKey', () => {
  for (const { enctype, baseHex, labelHex, keyHex } of vectors.derive) {
    const purpose = ({ '99': 'checksum', aa: 'encryption', '55': 'integrity' } as const)[labelHex.slice(-2)]!
    it(`gives the ${purpose} key of RFC 8009 for type ${enctype}`, () => {
      expect(deriveKey(CIPHERS[enctype], hex(baseHex), hex(labelHex).readUInt32BE(), purpose).toString('hex')).to.equal(
        keyHex,
      )
    })
  }
})

describe('prf', () => {
  for (const { enctype, keyHex, inputHex, outputHex } of vectors.prf) {
    it(`gives the published bytes for type ${enctype}`, () => {
      expect(prf(keyOf(enctype, keyHex), hex(inputHex)).toString('hex')).to.equal(outputHex)
    })
  }
})

describe('checksum', () => {
  for (const { enctype, usage, dataHex, keyHex, checksumHex } of vectors.checksum) {
    it(`gives the published checksum of type ${enctype}, usage ${usage}`, () => {
      expect(checksum(keyOf(enctype, keyHex), usage, hex(dataHex)).toString('hex')).to.equal(checksumHex)
    })
  }
})

describe('encrypt', () => {
  for (const { enctype, plainHex, usage, keyHex, sealedHex } of vectors.encrypt) {
    it(`opens the published ciphertext of type ${enctype} with ${plainHex.length / 2} bytes, and makes it again`, () => {
      const key = keyOf(enctype, keyHex)
      expect(decrypt(key, usage, hex(sealedHex)).toString('hex')).to.equal(plainHex)
      const { macBytes, family } = CIPHERS[enctype]
      const confounder = decryptCts(
        deriveKey(CIPHERS[enctype], hex(keyHex), usage, 'encryption'),
        hex(sealedHex).subarray(0, -macBytes),
      ).subarray(0, 16)
      if (family === 'sha2' && plainHex === '') {
        expect(confounder.toString('hex')).to.equal(
          enctype === 19 ? '7e5895eaf2672435bad817f545a37148' : 'f764e9fa15c276478b2c7d0c4e5f58e4',
        )
      }
      expect(encrypt(key, usage, hex(plainHex), { confounder }).toString('hex')).to.equal(sealedHex)
    })
  }

  for (const { enctype, keyBytes } of ENCTYPES) {
    it(`gives back any text under type ${enctype}, and nothing of one with a bit turned, under another key or usage`, () => {
      const key = { enctype, secret: SecretKey.random(keyBytes) }
      const bit = fc.nat()
      fc.assert(
        fc.property(fc.uint8Array({ maxLength: 200 }), bit, (text, at) => {
          const sealed = encrypt(key, 11, text)
          expect(decrypt(key, 11, sealed)).to.deep.equal(Buffer.from(text))
          expect(() => decrypt(key, 12, sealed)).to.throw('does not open')
          sealed[(at >> 3) % sealed.byteLength]! ^= 1 << (at & 7)
          expect(() => decrypt(key, 11, sealed)).to.throw('does not open')
        }),
        { numRuns: 50 },
      )
    })

    it(`refuses what is too short or too long to be a text under type ${enctype}`, () => {
      const key = { enctype, secret: SecretKey.random(keyBytes) }
      for (const bytes of [0, 1, 27, 2 ** 21]) expect(() => decrypt(key, 1, Buffer.alloc(bytes))).to.throw('is none')
    })
  }

  it('refuses a key whose size is not that of its type', () => {
    expect(() => encrypt({ enctype: 20, secret: SecretKey.random(16) }, 1, Buffer.alloc(1))).to.throw(
      '32 bytes, not 16',
    )
  })
})
