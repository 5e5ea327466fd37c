import { createHash, createHmac, hkdfSync } from 'node:crypto'
import { expect } from 'chai'
import { KeySchedule, type Transcript } from '../../lib/client/agreement/key-schedule.ts'
import { encodeMessage, type OfferMessage } from '../../lib/client/agreement/message.ts'
import { exportKey } from '../../lib/key/export-key.ts'
import { SecretKey } from '../../lib/key/secret-key.ts'

const offer: OfferMessage = {
  type: 'offer',
  agreementId: Buffer.alloc(32, 1),
  masterSaeId: 'alice',
  slaveSaeId: 'bob',
  purpose: 'test',
  sizeBits: 384,
  level: undefined,
}
const ready = encodeMessage({ type: 'ready', agreementId: Buffer.alloc(32, 1), nonce: Buffer.alloc(32, 2) })
const transcript: Transcript = { offer: encodeMessage(offer), ready, keyId: 'k1', level: 'quantum' }
const bytes = Buffer.alloc(48, 0x5a)

const schedule = (changed: Partial<Transcript> = {}, secret = SecretKey.copyOf(bytes)) =>
  new KeySchedule(secret, { ...transcript, ...changed })
const everything = (of: KeySchedule) => [
  of.proof('initiator').toString('hex'),
  of.proof('responder').toString('hex'),
  exportKey(of.agreedKey()).toString('hex'),
]

describe('KeySchedule', () => {
  it('is HKDF-SHA-512 over the transcript, as its documentation says', () => {
    const lp = (...fields: (string | Uint8Array)[]) =>
      Buffer.concat(
        fields.flatMap(field => {
          const length = Buffer.alloc(2)
          length.writeUInt16BE(Buffer.from(field).byteLength)
          return [length, Buffer.from(field)]
        }),
      )
    const hash = createHash('sha512')
      .update(lp('qkdkit/1 agreement', transcript.offer, ready, 'k1', 'quantum'))
      .digest()
    const derived = (use: string, length: number) =>
      Buffer.from(hkdfSync('sha512', bytes, new Uint8Array(0), lp(`qkdkit/1 agreement ${use}`, hash), length))
    const proof = (role: string) =>
      createHmac('sha256', derived(`${role}'s proof`, 32))
        .update(hash)
        .digest('hex')
    expect(everything(schedule())).to.deep.equal([
      proof('initiator'),
      proof('responder'),
      derived('key', 48).toString('hex'),
    ])
  })

  it('has nothing in common for two uses, or two agreements that differ in anything', () => {
    const values = [
      schedule(),
      schedule({}, SecretKey.copyOf(Buffer.alloc(48, 0x5b))),
      schedule({ offer: encodeMessage({ ...offer, purpose: 'tess' }) }),
      schedule({ offer: encodeMessage({ ...offer, masterSaeId: 'bob', slaveSaeId: 'alice' }) }),
      schedule({ offer: encodeMessage({ ...offer, agreementId: Buffer.alloc(32, 3) }) }),
      schedule({ ready: encodeMessage({ type: 'ready', agreementId: Buffer.alloc(32, 1), nonce: Buffer.alloc(32) }) }),
      schedule({ keyId: 'k2' }),
      schedule({ level: undefined }),
    ].flatMap(everything)
    expect(new Set(values).size).to.equal(values.length)
  })

  it('verifies the proof of a role for that role alone, whole', () => {
    const proof = schedule().proof('initiator')
    expect(schedule().verify('initiator', proof)).to.equal(true)
    expect(schedule().verify('responder', proof)).to.equal(false)
    expect(schedule().verify('initiator', proof.subarray(1))).to.equal(false)
    expect(schedule().verify('initiator', new Uint8Array(0))).to.equal(false)
  })
})
