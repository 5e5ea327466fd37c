import { expect } from 'chai'
import fc from 'fast-check'
import { ProtocolError } from '../../../lib/errors.ts'
import type { Key, SecurityLevel, TrustClass } from '../../../lib/interface/kms.ts'
import { exportKey } from '../../../lib/key/export-key.ts'
import { SecretKey } from '../../../lib/key/secret-key.ts'
import { decodeAnswerFrame, encodeAnswer, encodeAnswerFrame, type OwnerAnswer } from '../../../lib/kms/owner/answers.ts'
import { decodeHello, encodeHello } from '../../../lib/kms/owner/frame.ts'
import {
  decodeRequestFrame,
  encodeRequest,
  encodeRequestFrame,
  type OwnerRequest,
} from '../../../lib/kms/owner/requests.ts'

const id = fc.integer({ min: 1, max: 2 ** 32 - 1 })
const sae = fc.string({ minLength: 1, maxLength: 40 })
const level = fc.constantFrom<SecurityLevel>('one-time-pad', 'quantum', 'hybrid', 'expanded', 'post-quantum')
const trustClass = fc.constantFrom<TrustClass>('direct', 'split', 'relayed', 'post-quantum')
const timeoutMs = fc.integer({ min: 1, max: 2 ** 31 - 1 })
const entries = fc.array(fc.dictionary(fc.string(), fc.string()), { maxLength: 3 })

const request: fc.Arbitrary<OwnerRequest> = fc.oneof(
  fc.constant({ op: 'cancel' as const }),
  fc.record({
    op: fc.constant('getStatus' as const),
    saeId: sae,
    peerSaeId: sae,
    options: fc.record({ timeoutMs }, { requiredKeys: [] }),
  }),
  fc.record({
    op: fc.constant('getKey' as const),
    saeId: sae,
    peerSaeId: sae,
    options: fc.record(
      {
        timeoutMs,
        number: fc.integer({ min: 1, max: 1_024 }),
        sizeBits: fc.integer({ min: 1, max: 255_488 }),
        level,
        minLevel: level,
        additionalSlaveSaeIds: fc.array(sae, { maxLength: 4 }),
        integration: fc.string(),
        extensionMandatory: entries,
        extensionOptional: entries,
      },
      { requiredKeys: [] },
    ),
  }),
  fc.record({
    op: fc.constant('getKeyWithIds' as const),
    saeId: sae,
    peerSaeId: sae,
    keyIds: fc.array(fc.uuid(), { maxLength: 5 }),
    options: fc.record({ timeoutMs, minLevel: level }, { requiredKeys: [] }),
  }),
  fc.record({
    op: fc.constant('reportKeys' as const),
    saeId: sae,
    peerSaeId: sae,
    receipts: fc.array(
      fc.record(
        { keyId: fc.uuid(), state: fc.constantFrom('in-use' as const, 'retired' as const), use: sae, atMs: fc.nat() },
        { requiredKeys: ['keyId', 'state', 'use'] },
      ),
      { minLength: 1, maxLength: 5 },
    ),
    options: fc.record({ timeoutMs }, { requiredKeys: [] }),
  }),
)

const key: fc.Arbitrary<Key> = fc
  .record({
    keyId: fc.uuid(),
    bytes: fc.uint8Array({ minLength: 1, maxLength: 100 }),
    level: fc.option(level, { nil: undefined }),
    trustClass: fc.option(trustClass, { nil: undefined }),
  })
  .map(({ bytes, ...rest }) => ({ ...rest, secret: SecretKey.copyOf(bytes), sizeBits: bytes.byteLength * 8 }))

const answer: fc.Arbitrary<OwnerAnswer> = fc.oneof(
  fc.constant({ kind: 'cancelled' as const }),
  fc.constant({ kind: 'taken' as const }),
  fc.record({ kind: fc.constant('keys' as const), more: fc.boolean(), keys: fc.array(key, { maxLength: 5 }) }),
  fc.record({
    kind: fc.constant('failure' as const),
    code: fc.constantFrom('ERR_QKD_POLICY_DENIED' as const, 'ERR_QKD_STORE' as const),
    message: fc.string(),
    details: entries,
    retryAfterMs: fc.option(fc.integer({ min: 1, max: 1e6 }), { nil: undefined }),
  }),
  fc
    .tuple(fc.array(fc.nat(), { minLength: 7, maxLength: 7 }), fc.array(sae, { minLength: 4, maxLength: 4 }))
    .map(([n, s]) => ({
      kind: 'status' as const,
      status: {
        sourceKmeId: s[0]!,
        targetKmeId: s[1]!,
        masterSaeId: s[2]!,
        slaveSaeId: s[3]!,
        keySizeBits: n[0]!,
        storedKeyCount: n[1]!,
        maxKeyCount: n[2]!,
        maxKeyPerRequest: n[3]!,
        maxKeySizeBits: n[4]!,
        minKeySizeBits: n[5]!,
        maxSaeIdCount: n[6]!,
        outlook: { trend: 'steady' as const, degraded: false },
      },
    })),
)

/** An answer whose secrets can be compared. */
const plain = (each: OwnerAnswer) =>
  each.kind !== 'keys'
    ? each
    : { ...each, keys: each.keys.map(one => ({ ...one, secret: exportKey(one.secret).toString('hex') })) }

const pairs = <T>(of: fc.Arbitrary<T>) => fc.array(fc.tuple(id, of), { minLength: 1, maxLength: 6 })

describe('owner wire', () => {
  it('brings every frame of requests over as it was', () => {
    fc.assert(
      fc.property(fc.nat(), pairs(request), (received, requests) => {
        const encoded = requests.map(([n, each]) => encodeRequest(n, each))
        expect(decodeRequestFrame(encodeRequestFrame(received, encoded))).to.deep.equal({ received, requests })
      }),
    )
    expect(decodeRequestFrame(encodeRequestFrame(7, []))).to.deep.equal({ received: 7, requests: [] })
  })

  it('brings every frame of answers over as it was, and leaves no key behind in its entries', () => {
    fc.assert(
      fc.property(fc.nat(), pairs(answer), (sequence, answers) => {
        const encoded = answers.map(([n, each]) => encodeAnswer(n, each))
        const frame = decodeAnswerFrame(encodeAnswerFrame(sequence, encoded))
        expect(frame.sequence).to.equal(sequence)
        expect(frame.answers.map(([n, each]) => [n, plain(each)])).to.deep.equal(
          answers.map(([n, each]) => [n, plain(each)]),
        )
        for (const entry of encoded) expect(entry.every(byte => byte === 0)).to.equal(true)
      }),
    )
  })

  it('says which site and version the owner has', () => {
    expect(decodeHello(encodeHello('site-a'))).to.equal('site-a')
    const other = encodeHello('site-a')
    other.writeUInt16BE(2, 1)
    expect(() => decodeHello(other)).to.throw(ProtocolError, 'version 2')
  })

  it('refuses whatever is no frame, with an error of the protocol and no other', () => {
    const decoders = [decodeRequestFrame, decodeAnswerFrame, decodeHello]
    const harmless = (bytes: Uint8Array) => {
      for (const decode of decoders) {
        try {
          decode(bytes)
        } catch (error) {
          expect(error).to.be.instanceOf(ProtocolError)
        }
      }
    }
    fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), harmless), { numRuns: 500 })
    // What is nearly one comes further into the parser.
    const frames = fc.oneof(
      pairs(request).map(all =>
        encodeRequestFrame(
          1,
          all.map(([n, each]) => encodeRequest(n, each)),
        ),
      ),
      pairs(answer).map(all =>
        encodeAnswerFrame(
          1,
          all.map(([n, each]) => encodeAnswer(n, each)),
        ),
      ),
    )
    fc.assert(
      fc.property(frames, fc.nat(), fc.nat({ max: 255 }), fc.nat({ max: 40 }), (frame, at, byte, less) => {
        const broken = Uint8Array.from(frame)
        broken[at % broken.byteLength] = byte
        harmless(broken)
        harmless(broken.subarray(0, Math.max(0, broken.byteLength - less)))
      }),
      { numRuns: 1_000 },
    )
  })

  it('refuses a request that no frame could hold', () => {
    const integration = 'x'.repeat(1024 * 1024)
    const huge = { op: 'getKey', saeId: 'a', peerSaeId: 'b', options: { integration } } as const
    expect(() => encodeRequest(1, huge))
      .to.throw()
      .with.property('code', 'ERR_QKD_INVALID_ARGUMENT')
  })
})
