import { randomBytes } from 'node:crypto'
import { expect } from 'chai'
import fc from 'fast-check'
import { HelloReader, MAX_HELLO_BYTES } from '../../../integrations/tls/hello-reader.ts'
import { HandshakeRefusal } from '../../../integrations/tls/refusal.ts'
import { inRecords } from './raw-peer.ts'

/** A message of type ClientHello; its body is of no interest to the reader. */
const body = randomBytes(700)
const message = Buffer.concat([Buffer.of(1, 0, body.byteLength >> 8, body.byteLength & 0xff), body])

describe('HelloReader', () => {
  it('puts a hello together from any records and any segments, and keeps every byte', () => {
    fc.assert(
      fc.property(cuts(message.byteLength), fc.infiniteStream(fc.integer({ min: 1, max: 900 })), (ends, sizes) => {
        const records = Buffer.concat([inRecords(slices(message, ends)), Buffer.from('what comes after')])
        const reader = new HelloReader()
        let hello: Buffer | undefined
        for (let at = 0; at < records.byteLength; ) {
          const [sizeBytes] = [...sizes.take(1)] as [number]
          hello = reader.push(records.subarray(at, at + sizeBytes))
          at += sizeBytes
        }
        return hello?.equals(message) === true && reader.received.equals(records)
      }),
    )
  })

  it('gives nothing before the last byte is there', () => {
    const records = inRecords([message])
    const reader = new HelloReader()
    for (const byte of records.subarray(0, -1)) expect(reader.push(Buffer.of(byte))).to.equal(undefined)
    expect(reader.push(records.subarray(-1))?.equals(message)).to.equal(true)
  })

  for (const [what, bytes, reason] of [
    ['text', Buffer.from('GET'), 'not-tls'],
    ['an SSL 2 hello', Buffer.of(0x80, 0x2e, 1, 0, 2), 'not-tls'],
    ['a record of another major version', Buffer.of(22, 2, 0), 'not-tls'],
    ['another handshake message', inRecords([Buffer.of(2)]), 'not-tls'],
    ['an empty record', Buffer.of(22, 3, 1, 0, 0), 'malformed'],
    ['a record longer than TLS allows', Buffer.of(22, 3, 1, 0x40, 1), 'oversize'],
    ['a message longer than the limit', inRecords([Buffer.of(1, 0, 0x80, 0)]), 'oversize'],
    ['a message of sixteen megabytes', inRecords([Buffer.of(1, 0xff, 0xff, 0xff)]), 'oversize'],
    ['too much after the hello', Buffer.concat([inRecords([message]), Buffer.alloc(MAX_HELLO_BYTES)]), 'oversize'],
  ] as const) {
    it(`refuses ${what} as soon as it shows`, () => {
      expect(() => new HelloReader().push(bytes))
        .to.throw(HandshakeRefusal)
        .with.property('reason', reason)
    })
  }

  it('holds no more than its limit of a hello in tiny records', () => {
    const reader = new HelloReader()
    const records = inRecords([Buffer.of(1, 0, 0x7f, 0x00), ...Array(5000).fill(Buffer.of(0))])
    expect(reader.push(records)).to.equal(undefined)
    expect(() => reader.push(Buffer.alloc(MAX_HELLO_BYTES - records.byteLength + 1))).to.throw(HandshakeRefusal)
    expect(reader.received.byteLength).to.equal(MAX_HELLO_BYTES)
  })
})

/** Places at which to cut `sizeBytes` bytes into records. */
function cuts(sizeBytes: number): fc.Arbitrary<number[]> {
  const place = fc.integer({ min: 1, max: sizeBytes - 1 })
  return fc.uniqueArray(place, { maxLength: 50 }).map(places => places.sort((a, b) => a - b))
}

function slices(bytes: Buffer, ends: readonly number[]): Buffer[] {
  return [...ends, bytes.byteLength].map((end, i) => bytes.subarray(ends[i - 1] ?? 0, end))
}
