import { expect } from 'chai'
import fc from 'fast-check'
import { poly1305 } from '../../lib/key/poly1305.ts'
import { SecretKey } from '../../lib/key/secret-key.ts'

/** The definition of RFC 8439, section 2.5.1, in big integers: slow and plain. */
function reference(key: Uint8Array, message: Uint8Array): string {
  const little = (bytes: Uint8Array) => bytes.reduceRight((sum, byte) => (sum << 8n) | BigInt(byte), 0n)
  const r = little(key.subarray(0, 16)) & 0x0ffffffc0ffffffc0ffffffc0fffffffn
  let h = 0n
  for (let at = 0; at < message.length; at += 16) {
    const chunk = message.subarray(at, at + 16)
    h = ((h + little(chunk) + (1n << BigInt(8 * chunk.length))) * r) % ((1n << 130n) - 5n)
  }
  let sum = (h + little(key.subarray(16))) % (1n << 128n)
  const tag = Buffer.alloc(16)
  for (let i = 0; i < 16; i++, sum >>= 8n) tag[i] = Number(sum & 0xffn)
  return tag.toString('hex')
}

describe('poly1305', () => {
  it('gives the tag of RFC 8439, section 2.5.2', () => {
    const key = SecretKey.copyOf(Buffer.from('85d6be7857556d337f4452fe42d506a80103808afb0db2fd4abff6af4149f51b', 'hex'))
    const tag = poly1305(key, [Buffer.from('Cryptographic Forum Research Group')])
    expect(tag.toString('hex')).to.equal('a8061dc1305136c6c22b8baf0c0127a9')
  })

  it('agrees with the definition on random and extreme keys and messages, however they are split', () => {
    const bytes = (options: fc.IntArrayConstraints) =>
      fc.oneof(
        fc.uint8Array(options),
        fc.uint8Array(options).map(array => array.fill(0xff)),
      )
    const property = fc.property(
      bytes({ minLength: 32, maxLength: 32 }),
      bytes({ maxLength: 300 }),
      fc.nat(300),
      (key, message, cut) => {
        const parts = [message.subarray(0, cut), message.subarray(cut)]
        expect(poly1305(SecretKey.copyOf(key), parts).toString('hex')).to.equal(reference(key, message))
      },
    )
    fc.assert(property, { numRuns: 2000 })
  })
})
