import { expect } from 'chai'
import fc from 'fast-check'
import { ProtocolError } from '../../lib/errors.ts'
import { exportKey } from '../../lib/key/export-key.ts'
import { SecretKey } from '../../lib/key/secret-key.ts'
import { decodeQnlMessage, encodeQnlMessage, type QnlMessage } from '../../lib/qnl/qnl-wire.ts'

const id = fc.nat()
const siteId = fc.stringMatching(/^[a-z0-9.-]{1,64}$/)
const rate = fc.double({ min: 0, max: 1e12, noNaN: true, noDefaultInfinity: true }).filter(each => !Object.is(each, -0))
const number = fc.bigInt({ min: 0n, max: 2n ** 63n - 1n }).map(String)
const demand = fc.record(
  {
    rateBps: rate,
    weight: fc.integer({ min: 1, max: 100 }),
    kind: fc.constantFrom('continuous' as const, 'on-demand' as const),
    mode: fc.constantFrom('single' as const, 'multipath' as const, 'split' as const),
    deadlineMs: fc.integer({ min: 1 }),
  },
  { requiredKeys: ['rateBps', 'weight', 'kind', 'mode'] },
)
const of = <T extends QnlMessage['type'], H>(type: T, head: fc.Arbitrary<H>) =>
  fc.record({ type: fc.constant(type), id, head })

const message = fc.oneof(
  of('hello', fc.record({ version: fc.nat(), siteId })),
  of('call', fc.constantFrom({ op: 'status' as const }, { op: 'remoteSiteIds' as const })),
  of('call', fc.record({ op: fc.constant('nextBlock' as const), remoteSiteId: siteId, after: number })),
  of('call', fc.record({ op: fc.constant('setDemand' as const), remoteSiteId: siteId, demand })),
  of('cancel', fc.constant({})),
  of('cancelled', fc.constant({})),
  of('answer', fc.record({ value: fc.array(siteId) })),
  of('event', fc.record({ type: fc.constant('restored' as const), remoteSiteId: siteId, rateBps: rate })),
  of(
    'failure',
    fc.record({
      code: fc.constant('ERR_QKD_NO_ROUTE' as const),
      message: fc.string(),
      details: fc.constant([{ parameter_name: 'x' }]),
      retryAfterMs: fc.nat(),
    }),
  ),
  fc.record({
    type: fc.constant('block' as const),
    id,
    head: fc.record({
      remoteSiteId: siteId,
      number,
      trustClass: fc.constantFrom('direct' as const, 'split' as const, 'relayed' as const, 'post-quantum' as const),
      relays: fc.array(siteId),
    }),
    secret: fc.uint8Array({ minLength: 1, maxLength: 2000 }).map(bytes => SecretKey.copyOf(bytes)),
  }),
) as fc.Arbitrary<QnlMessage>

/** A message whose secret can be compared. */
const plain = (value: QnlMessage) =>
  value.type === 'block' ? { ...value, secret: exportKey(value.secret).toString('hex') } : value

describe('qnl-wire', () => {
  it('reads back every message that it writes', () => {
    fc.assert(
      fc.property(message, sent => {
        expect(plain(decodeQnlMessage(encodeQnlMessage(sent)))).to.deep.equal(plain(sent))
      }),
      { numRuns: 500 },
    )
  })

  it('meets any bytes, and any damage to a good message, with a message or a ProtocolError', () => {
    const decode = (bytes: Uint8Array) => {
      try {
        decodeQnlMessage(bytes)
      } catch (error) {
        expect(error).to.be.instanceOf(ProtocolError)
      }
    }
    fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), decode), { numRuns: 1000 })
    fc.assert(
      fc.property(message, fc.nat(), fc.integer({ min: 1, max: 255 }), (sent, at, flip) => {
        const bytes = encodeQnlMessage(sent)
        const place = at % bytes.byteLength
        bytes[place] = (bytes[place] as number) ^ flip
        decode(bytes)
      }),
      { numRuns: 1000 },
    )
  })

  it('refuses a message that is cut short or has bytes too many', () => {
    fc.assert(
      fc.property(
        message.filter(({ type }) => type !== 'block'),
        sent => {
          const bytes = encodeQnlMessage(sent)
          expect(() => decodeQnlMessage(bytes.subarray(0, -1))).to.throw(ProtocolError)
          expect(() => decodeQnlMessage(Buffer.concat([bytes, Buffer.alloc(1)]))).to.throw(ProtocolError)
        },
      ),
    )
  })

  it('names the field that is wrong', () => {
    const call = (head: unknown) => decodeQnlMessage(encodeQnlMessage({ type: 'call', id: 1, head } as QnlMessage))
    expect(() => call({ op: 'nextBlock', remoteSiteId: 'bob', after: '-1' })).to.throw(ProtocolError, '/after')
    expect(() => call({ op: 'eraseAll' })).to.throw(ProtocolError, '/op')
  })

  it('quotes nothing of a block in an error', () => {
    const secret = SecretKey.copyOf(Buffer.from('SECRETSECRETSECRETSECRETSECRET'))
    const head = { remoteSiteId: 'bob', number: '1', trustClass: 'direct', relays: [] } as const
    const bytes = encodeQnlMessage({ type: 'block', id: 1, head, secret })
    for (const wrong of [0, 90, 120]) {
      bytes.writeUInt32BE(wrong, 5)
      const error = captured(() => decodeQnlMessage(bytes))
      expect(`${error.message} ${error.stack} ${String((error.cause as Error | undefined)?.message)}`).not.to.include(
        'SECRET',
      )
    }
  })
})

function captured(act: () => unknown): Error {
  try {
    act()
  } catch (error) {
    return error as Error
  }
  throw new Error('Nothing was thrown')
}
