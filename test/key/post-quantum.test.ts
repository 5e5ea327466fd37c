import { expect } from 'chai'
import { InvalidArgumentError } from '../../lib/errors.ts'
import {
  createMlDsa65,
  type Kem,
  nativeKem,
  nativeMlDsa65,
  portableKem,
  portableMlDsa65,
} from '../../lib/key/post-quantum.ts'
import { SecretKey } from '../../lib/key/secret-key.ts'

const present = <T>(values: readonly (T | undefined)[]): T[] => values.filter(value => value !== undefined) as T[]

for (const name of ['ML-KEM-768', 'ML-KEM-1024'] as const) {
  const kems: Kem[] = present([portableKem(name), nativeKem(name)])

  describe(`${name}, ${kems.length} implementations`, () => {
    it('agree with each other in every combination', () => {
      for (const ours of kems) {
        for (const theirs of kems) {
          const pair = ours.generateKeyPair()
          const { ciphertext, secret } = theirs.encapsulate(pair.publicKey)
          expect(pair.publicKey.byteLength).to.equal(ours.publicKeyBytes)
          expect(ciphertext.byteLength).to.equal(ours.ciphertextBytes)
          expect(secret.sizeBytes).to.equal(32)
          expect(pair.decapsulate(ciphertext).equals(secret)).to.equal(true)
        }
      }
    })

    it('give another secret for an altered ciphertext', () => {
      for (const kem of kems) {
        const pair = kem.generateKeyPair()
        const { ciphertext, secret } = kem.encapsulate(pair.publicKey)
        const altered = Uint8Array.from(ciphertext)
        altered[17]! ^= 1
        expect(pair.decapsulate(altered).equals(secret)).to.equal(false)
      }
    })

    it('refuse keys and ciphertexts that are none', () => {
      for (const kem of kems) {
        const pair = kem.generateKeyPair()
        expect(() => pair.decapsulate(new Uint8Array(3))).to.throw(InvalidArgumentError)
        expect(() => kem.encapsulate(new Uint8Array(3))).to.throw(InvalidArgumentError)
        expect(() => kem.encapsulate(new Uint8Array(kem.publicKeyBytes).fill(255))).to.throw(InvalidArgumentError)
      }
    })
  })
}

describe('ML-DSA-65', () => {
  const schemes = present([portableMlDsa65(), nativeMlDsa65()])
  const seed = SecretKey.copyOf(Buffer.alloc(32, 7))
  const message = Buffer.from('a transcript')

  it('verifies what any implementation signed, in its context alone', () => {
    for (const ours of schemes) {
      for (const theirs of schemes) {
        const publicKey = theirs.publicKeyOf(seed)
        const signature = ours.sign(seed, message, 'one')
        expect(theirs.verify(publicKey, message, signature, 'one')).to.equal(true)
        expect(theirs.verify(publicKey, message, signature, 'two')).to.equal(false)
        expect(theirs.verify(publicKey, Buffer.from('another'), signature, 'one')).to.equal(false)
        signature[99]! ^= 1
        expect(theirs.verify(publicKey, message, signature, 'one')).to.equal(false)
      }
    }
  })

  it('refuses what has another length', () => {
    const scheme = createMlDsa65()
    const signature = scheme.sign(seed, message, '')
    expect(scheme.verify(new Uint8Array(3), message, signature, '')).to.equal(false)
    expect(scheme.verify(scheme.publicKeyOf(seed), message, signature.subarray(1), '')).to.equal(false)
    expect(() => scheme.sign(SecretKey.random(31), message, '')).to.throw(InvalidArgumentError)
  })
})
