import { expect } from 'chai'
import fc from 'fast-check'
import {
  decodeViciPacket,
  encodeViciPacket,
  MAX_PACKET_BYTES,
  PacketReader,
} from '../../../../integrations/strongswan/vici/packet.ts'
import { ProtocolError, QkdError } from '../../../../lib/errors.ts'

const framed = (...packets: Buffer[]) =>
  Buffer.concat(
    packets.flatMap(packet => {
      const length = Buffer.alloc(4)
      length.writeUInt32BE(packet.byteLength)
      return [length, packet]
    }),
  )

describe('ViciPacket', () => {
  it('has its length, its type and its name ahead of the message', () => {
    const packet = encodeViciPacket({ kind: 'request', name: 'ab', message: { c: 'd' } })
    expect([...packet]).to.deep.equal([0, 0, 0, 10, 0, 2, 97, 98, 3, 1, 99, 0, 1, 100])
    expect([...encodeViciPacket({ kind: 'register', name: 'a' })]).to.deep.equal([0, 0, 0, 3, 3, 1, 97])
    expect([...encodeViciPacket({ kind: 'unregister', name: 'a' })]).to.deep.equal([0, 0, 0, 3, 4, 1, 97])
  })

  it('is refused where it is longer than charon takes', () => {
    const message = Object.fromEntries(Array.from({ length: 9 }, (_, at) => [`a${at}`, Buffer.alloc(65_000)]))
    expect(() => encodeViciPacket({ kind: 'request', name: 'a', message })).to.throw(QkdError, /longer than 524288/)
    expect(() => encodeViciPacket({ kind: 'request', name: '' })).to.throw(QkdError, /1 to 255/)
  })

  it('is read as what charon may send', () => {
    expect(decodeViciPacket(Buffer.of(1))).to.deep.equal({ kind: 'response', message: Object.create(null) as object })
    expect(decodeViciPacket(Buffer.of(2))).to.deep.equal({ kind: 'unknown-command' })
    expect(decodeViciPacket(Buffer.of(5))).to.deep.equal({ kind: 'confirmation' })
    expect(decodeViciPacket(Buffer.of(6))).to.deep.equal({ kind: 'unknown-event' })
    const event = decodeViciPacket(Buffer.of(7, 1, 97, 3, 1, 98, 0, 1, 99))
    expect(JSON.stringify(event)).to.equal('{"kind":"event","name":"a","message":{"b":"c"}}')
  })

  for (const [what, bytes] of [
    ['nothing', []],
    ['a request', [0, 1, 97]],
    ['a registration', [3, 1, 97]],
    ['a type that does not exist', [8]],
    ['an event without a name', [7, 0]],
    ['an event whose name is cut short', [7, 9, 97]],
    ['a confirmation with something in it', [5, 1]],
  ] as const) {
    it(`is refused where it is ${what}`, () => {
      expect(() => decodeViciPacket(Buffer.from(bytes))).to.throw(ProtocolError)
    })
  }
})

describe('PacketReader', () => {
  it('gives the same packets in whatever pieces they come', () => {
    const packets = fc.array(fc.uint8Array({ minLength: 1, maxLength: 40 }), { maxLength: 6 })
    fc.assert(
      fc.property(packets, fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1 }), (sent, cuts) => {
        const bytes = framed(...sent.map(packet => Buffer.from(packet)))
        const reader = new PacketReader()
        const got: Buffer[] = []
        for (let at = 0, step = 0; at < bytes.byteLength; step += 1) {
          const end = at + cuts[step % cuts.length]!
          got.push(...reader.push(bytes.subarray(at, end)).map(packet => Buffer.from(packet)))
          at = end
        }
        expect(got.map(packet => [...packet])).to.deep.equal(sent.map(packet => [...packet]))
      }),
    )
  })

  it('refuses a length that no packet has, before the packet is there', () => {
    const length = Buffer.alloc(4)
    length.writeUInt32BE(MAX_PACKET_BYTES + 1)
    expect(() => new PacketReader().push(length)).to.throw(ProtocolError, /524289/)
    expect(() => new PacketReader().push(Buffer.alloc(4))).to.throw(ProtocolError, / 0 bytes/)
  })
})
