import { createCipheriv, randomBytes } from 'node:crypto'
import { expect } from 'chai'
import { RunningPoly1305 } from '../../lib/key/running-poly1305.ts'

/** One-time key and tag that OpenSSL's ChaCha20-Poly1305 computes over `aad` alone. */
function openssl(aad: Buffer): { key: Buffer; message: Buffer; tag: Buffer } {
  const [cipherKey, nonce] = [randomBytes(32), randomBytes(12)]
  // The one-time key is the first half of the key stream's block 0 (RFC 8439, section 2.6).
  const stream = createCipheriv('chacha20', cipherKey, Buffer.concat([Buffer.alloc(4), nonce]))
  const key = stream.update(Buffer.alloc(32))
  const sealer = createCipheriv('chacha20-poly1305', cipherKey, nonce, { authTagLength: 16 })
  sealer.setAAD(aad, { plaintextLength: 0 })
  sealer.final()
  const lengths = Buffer.alloc(16)
  lengths.writeUInt32LE(aad.byteLength, 0)
  const padding = Buffer.alloc((16 - (aad.byteLength % 16)) % 16)
  return { key, message: Buffer.concat([aad, padding, lengths]), tag: sealer.getAuthTag() }
}

function tagOf(key: Buffer, pieces: readonly Uint8Array[]): string {
  const hash = new RunningPoly1305(key.subarray(0, 16))
  for (const piece of pieces) hash.update(piece)
  return hash.finish(key.subarray(16)).toString('hex')
}

describe('RunningPoly1305', () => {
  it('gives the tag of RFC 8439, section 2.5.2', () => {
    const key = Buffer.from('85d6be7857556d337f4452fe42d506a80103808afb0db2fd4abff6af4149f51b', 'hex')
    const message = Buffer.from('Cryptographic Forum Research Group', 'utf8')
    expect(tagOf(key, [message])).to.equal('a8061dc1305136c6c22b8baf0c0127a9')
  })

  it('gives the tags of RFC 8439, appendix A.3, where limbs run over', () => {
    const tag = (r: string, s: string, message: string) =>
      tagOf(Buffer.from(r.padEnd(32, '0') + s.padEnd(32, '0'), 'hex'), [Buffer.from(message, 'hex')])
    // Vectors 7 to 11: a value at or just above the prime, and one whose sum with the pad wraps.
    const ones = 'f'.repeat(32)
    expect(tag('02', '', ones)).to.equal('03'.padEnd(32, '0'))
    expect(tag('02', ones, '02'.padEnd(32, '0'))).to.equal('03'.padEnd(32, '0'))
    expect(tag('01', '', `${ones}f0${ones.slice(2)}11${'0'.repeat(30)}`)).to.equal('05'.padEnd(32, '0'))
    expect(tag('01', '', `${ones}fb${'fe'.repeat(15)}${'01'.repeat(16)}`)).to.equal('0'.repeat(32))
    expect(tag('02', '', `fd${ones.slice(2)}`)).to.equal(`fa${ones.slice(2)}`)
  })

  it("gives OpenSSL's tags of random messages, in one piece and in many", () => {
    for (let i = 0; i < 200; i++) {
      const { key, message, tag } = openssl(randomBytes(i * 3))
      expect(tagOf(key, [message])).to.equal(tag.toString('hex'))
      const pieces: Buffer[] = []
      for (let at = 0; at < message.byteLength; at += 1 + (i % 37)) pieces.push(message.subarray(at, at + 1 + (i % 37)))
      expect(tagOf(key, pieces)).to.equal(tag.toString('hex'))
    }
  })

  it('counts the bytes that it took', () => {
    expect(new RunningPoly1305(randomBytes(16)).update(Buffer.alloc(5)).update(Buffer.alloc(20)).sizeBytes).to.equal(25)
  })
})
