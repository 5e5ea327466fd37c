import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { expect } from 'chai'
import { type KemName, nativeKem, nativeMlDsa65, portableKem, portableMlDsa65 } from '../../lib/key/post-quantum.ts'
import { SecretKey } from '../../lib/key/secret-key.ts'

interface Vectors {
  readonly kem: readonly {
    set: KemName
    test: number
    comment: string
    seed: string
    publicKeySha256: string
    ciphertext: string
    secret: string
  }[]
  readonly keys: readonly { seed: string; publicKeySha256: string }[]
  readonly publicKey: string
  readonly signatures: readonly {
    test: number
    comment: string
    message: string
    context: string
    signature: string
    isValid: boolean
  }[]
}

const vectors = JSON.parse(readFileSync(new URL('../vectors/post-quantum.json', import.meta.url), 'utf8')) as Vectors
const bytes = (hex: string) => Buffer.from(hex, 'hex')
const secret = (hex: string) => SecretKey.copyOf(bytes(hex))
const digest = (data: Uint8Array) => createHash('sha256').update(data).digest('hex')
const has = <T>(value: T | undefined): value is T => value !== undefined

describe('published vectors of ML-KEM and ML-DSA', () => {
  for (const { set, test, comment, seed, publicKeySha256, ciphertext, secret: expected } of vectors.kem) {
    it(`are met by ${set}, test ${test} (${comment})`, () => {
      for (const kem of [portableKem(set), nativeKem(set)].filter(has)) {
        const pair = kem.keyPairOf(secret(seed))
        expect(digest(pair.publicKey)).to.equal(publicKeySha256)
        expect(pair.decapsulate(bytes(ciphertext)).equals(secret(expected))).to.equal(true)
      }
    })
  }

  const schemes = [portableMlDsa65(), nativeMlDsa65()].filter(has)

  it('are met by the keys of ML-DSA-65', () => {
    expect(vectors.keys).to.have.length.above(2)
    for (const { seed, publicKeySha256 } of vectors.keys)
      for (const scheme of schemes) expect(digest(scheme.publicKeyOf(secret(seed)))).to.equal(publicKeySha256)
  })

  for (const { test, comment, message, context, signature, isValid } of vectors.signatures) {
    it(`are ${isValid ? 'verified' : 'refused'} by ML-DSA-65, test ${test} (${comment})`, () => {
      for (const scheme of schemes)
        expect(scheme.verify(bytes(vectors.publicKey), bytes(message), bytes(signature), context)).to.equal(isValid)
    })
  }
})
