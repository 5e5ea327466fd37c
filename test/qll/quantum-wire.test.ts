import { expect } from 'chai'
import fc from 'fast-check'
import { ProtocolError } from '../../lib/errors.ts'
import { exportKey } from '../../lib/key/export-key.ts'
import { SecretKey } from '../../lib/key/secret-key.ts'
import { FrameDecoder } from '../../lib/qll/frame-decoder.ts'
import { decodeFrame, encodeFrame, maxFrameBytes, type QuantumFrame } from '../../lib/qll/quantum-wire.ts'

const MAX_FRAME = maxFrameBytes(4096)

const u64 = fc.bigInt({ min: 0n, max: 2n ** 63n - 1n })
const rate = fc.integer({ min: 0, max: 1e12 })
const id = fc.stringMatching(/^[!-~]{1,128}$/)
const identity = { linkId: id, siteId: id, peerSiteId: id, blockSizeBytes: fc.nat(), rateBps: rate }
const secret = fc.uint8Array({ minLength: 1, maxLength: 4096 }).map(bytes => SecretKey.copyOf(bytes))
const frame: fc.Arbitrary<QuantumFrame> = fc.oneof(
  fc.record({ type: fc.constant('hello' as const), ...identity, lastNumber: u64, floor: u64 }),
  fc.record({ type: fc.constant('welcome' as const), ...identity }),
  fc.record({ type: fc.constant('bye' as const), reason: fc.stringMatching(/^[ -~]{0,200}$/) }),
  fc.record({ type: fc.constant('credit' as const), blocks: fc.nat() }),
  fc.record({ type: fc.constant('block' as const), number: u64, secret }),
  fc.record({ type: fc.constant('received' as const), number: u64 }),
  fc.record({ type: fc.constant('floor' as const), number: u64 }),
  fc.record({ type: fc.constant('rate' as const), rateBps: rate }),
  fc.record({ type: fc.constant('alive' as const) }),
)

/** A frame whose secret can be compared. */
const plain = (value: QuantumFrame) =>
  value.type === 'block' ? { ...value, secret: exportKey(value.secret).toString('hex') } : value

describe('quantum-wire', () => {
  it('reads back every frame that it writes, however the stream is cut into chunks', () => {
    fc.assert(
      fc.property(
        fc.array(frame, { maxLength: 6 }),
        fc.infiniteStream(fc.integer({ min: 1, max: 999 })),
        (sent, cuts) => {
          const stream = Buffer.concat(sent.map(encodeFrame))
          const decoder = new FrameDecoder(MAX_FRAME)
          const read: QuantumFrame[] = []
          for (let at = 0; at < stream.byteLength; ) {
            const end = Math.min(stream.byteLength, at + (cuts.next().value as number))
            decoder.push(stream.subarray(at, end), each => read.push(each))
            at = end
          }
          expect(read.map(plain)).to.deep.equal(sent.map(plain))
          expect(
            stream.every(byte => byte === 0),
            'what was read is wiped',
          ).to.equal(true)
        },
      ),
      { numRuns: 200 },
    )
  })

  it('meets any bytes with a frame or a ProtocolError', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), bytes => {
        try {
          decodeFrame(bytes)
        } catch (error) {
          expect(error).to.be.instanceOf(ProtocolError)
        }
      }),
      { numRuns: 2000 },
    )
  })

  it('meets any damage to a good stream with frames or a ProtocolError', () => {
    fc.assert(
      fc.property(frame, fc.nat(), fc.integer({ min: 1, max: 255 }), (sent, at, flip) => {
        const stream = encodeFrame(sent)
        const place = at % stream.byteLength
        stream[place] = (stream[place] as number) ^ flip
        const decoder = new FrameDecoder(MAX_FRAME)
        try {
          decoder.push(stream, () => {})
        } catch (error) {
          expect(error).to.be.instanceOf(ProtocolError)
        }
      }),
      { numRuns: 500 },
    )
  })

  it('refuses a frame that is cut short or has bytes too many', () => {
    fc.assert(
      fc.property(
        frame.filter(each => each.type !== 'block'),
        sent => {
          const body = encodeFrame(sent).subarray(4)
          expect(() => decodeFrame(body.subarray(0, -1))).to.throw(ProtocolError)
          expect(() => decodeFrame(Buffer.concat([body, Buffer.alloc(1)]))).to.throw(ProtocolError)
        },
      ),
    )
  })

  it('refuses a frame above the limit as soon as its length is read', () => {
    const decoder = new FrameDecoder(100)
    const header = Buffer.from([0, 0, 0, 101])
    expect(() => decoder.push(header, () => {})).to.throw(ProtocolError, 'A frame of 101 bytes is not from 1 to 100')
    expect(() => new FrameDecoder(100).push(Buffer.alloc(4), () => {})).to.throw(ProtocolError, '0 bytes')
  })

  it('names the version that it does not speak', () => {
    const hello = encodeFrame({
      type: 'hello',
      linkId: 'l',
      siteId: 'a',
      peerSiteId: 'b',
      blockSizeBytes: 32,
      rateBps: 0,
      lastNumber: 0n,
      floor: 0n,
    }).subarray(4)
    hello[5] = 9
    expect(() => decodeFrame(hello)).to.throw(ProtocolError, 'The peer speaks version 9')
    hello[1] = 0
    expect(() => decodeFrame(hello)).to.throw(ProtocolError, 'not the end of a simulated link')
  })

  it('keeps control characters and long texts of the other end out of logs', () => {
    const read = decodeFrame(encodeFrame({ type: 'bye', reason: `a\u001b[31m\n${'x'.repeat(5000)}` }).subarray(4))
    expect(read)
      .to.have.property('reason')
      .that.matches(/^a\?\[31m\?x+$/)
      .and.has.length(200)
  })
})
