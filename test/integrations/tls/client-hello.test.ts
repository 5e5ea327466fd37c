import { createHash, createHmac, randomBytes } from 'node:crypto'
import { expect } from 'chai'
import fc from 'fast-check'
import { binderMatches } from '../../../integrations/tls/binder.ts'
import { parseClientHello } from '../../../integrations/tls/client-hello.ts'
import { HelloReader } from '../../../integrations/tls/hello-reader.ts'
import { HandshakeRefusal } from '../../../integrations/tls/refusal.ts'
import { SecretKey } from '../../../lib/index.ts'
import { buildHello, list, offerOf } from './hello-builder.ts'
import { pskOptions } from './plain-client.ts'
import { captureHello } from './raw-peer.ts'

const psk = randomBytes(32)
/** A ClientHello as OpenSSL really makes it, longer than one TCP segment. */
let real: Buffer

describe('a ClientHello', () => {
  before(async () => {
    const many = Array.from({ length: 200 }, (_, n) => `protocol-${n}`)
    const records = await captureHello({ ...pskOptions('q1~alice~id', psk), ALPNProtocols: many })
    real = new HelloReader().push(records)!
    expect(real.byteLength).to.be.above(1460)
  })

  describe('parseClientHello', () => {
    it('reads what OpenSSL sends', () => {
      const hello = parseClientHello(real)
      expect(hello.supportedVersions).to.include(0x0304)
      expect(hello.pskModes).to.deep.equal([1])
      expect(hello.cipherSuites).to.include.members([0x1301, 0x1303])
      expect(hello.psk!.identities.map(String)).to.deep.equal(['q1~alice~id'])
      expect(hello.psk!.binders.map(({ byteLength }) => byteLength)).to.deep.equal([32])
    })

    it('reads a hello without extensions', () => {
      expect(parseClientHello(buildHello([])).psk).to.equal(undefined)
      expect(parseClientHello(buildHello(undefined)).supportedVersions).to.deep.equal([])
    })

    it('throws a refusal, and nothing else, for whatever bytes', () => {
      const onlyRefuses = (bytes: Buffer) => {
        try {
          parseClientHello(bytes)
        } catch (error) {
          if (!(error instanceof HandshakeRefusal)) throw error
        }
      }
      const bytes = fc.uint8Array({ maxLength: 200 }).map(Buffer.from)
      fc.assert(fc.property(bytes, onlyRefuses))
      fc.assert(fc.property(bytes, tail => onlyRefuses(buildHello([[41, tail]]))))
      fc.assert(
        fc.property(fc.nat(), fc.integer({ min: 0, max: 255 }), (at, value) => {
          const changed = Buffer.from(real)
          changed[at % changed.byteLength] = value
          onlyRefuses(changed)
        }),
        { numRuns: 1000 },
      )
      for (let end = 0; end < real.byteLength; end += 1) {
        expect(() => parseClientHello(real.subarray(0, end)), `cut at ${end}`).to.throw(HandshakeRefusal)
      }
    })

    const offers = (identities: number, binders: number) =>
      offerOf(
        Array.from({ length: identities }, (_, n) => `identity-${n}`),
        binders,
      )

    it('takes as many binders as identities, up to sixteen', () => {
      expect(parseClientHello(buildHello([[41, offers(16, 16)]])).psk!.identities).to.have.length(16)
      expect(() => parseClientHello(buildHello([[41, offers(17, 17)]]))).to.throw(HandshakeRefusal)
      expect(() => parseClientHello(buildHello([[41, offers(2, 1)]]))).to.throw(HandshakeRefusal)
      expect(() => parseClientHello(buildHello([[41, offers(1, 2)]]))).to.throw(HandshakeRefusal)
    })

    for (const [what, extensions] of [
      [
        'an extension that comes twice',
        [
          [10, Buffer.alloc(2)],
          [10, Buffer.alloc(2)],
        ],
      ],
      [
        'pre_shared_key twice',
        [
          [41, offers(1, 1)],
          [41, offers(1, 1)],
        ],
      ],
      [
        'an extension after pre_shared_key',
        [
          [41, offers(1, 1)],
          [10, Buffer.alloc(0)],
        ],
      ],
      ['bytes after the binders', [[41, Buffer.concat([offers(1, 1), Buffer.alloc(1)])]]],
      [
        'an empty identity',
        [[41, Buffer.concat([list(2, list(2), Buffer.alloc(5)), list(2, list(1, Buffer.alloc(32)))])]],
      ],
      [
        'a binder shorter than any hash',
        [
          [
            41,
            Buffer.concat([
              list(2, list(2, Buffer.of(1)), Buffer.alloc(4)),
              list(2, list(1, Buffer.alloc(31)), Buffer.alloc(1)),
            ]),
          ],
        ],
      ],
      ['half a version', [[43, list(1, Buffer.alloc(3))]]],
      ['no version', [[43, list(1)]]],
      ['bytes after the modes', [[45, Buffer.of(1, 1, 0)]]],
    ] as const) {
      it(`refuses ${what}`, () => {
        expect(() => parseClientHello(buildHello(extensions as unknown as [number, Buffer][]))).to.throw(
          HandshakeRefusal,
        )
      })
    }
  })

  describe('binderMatches', () => {
    const matches = (key: Uint8Array, hello = real) => {
      const { truncatedHello, binders } = parseClientHello(hello).psk!
      return binderMatches(SecretKey.copyOf(key), truncatedHello, binders[0]!)
    }

    it('agrees with OpenSSL on the binder of the right key, and on no other', () => {
      expect(matches(psk)).to.equal(true)
      expect(matches(randomBytes(32))).to.equal(false)
      expect(matches(Buffer.concat([psk, Buffer.alloc(1)]))).to.equal(false)
    })

    it('covers every byte up to the binders', () => {
      const { truncatedHello } = parseClientHello(real).psk!
      const [binder] = parseClientHello(real).psk!.binders as [Buffer]
      const key = SecretKey.copyOf(psk)
      for (let at = 0; at < truncatedHello.byteLength; at += 7) {
        const changed = Buffer.from(truncatedHello)
        changed[at]! ^= 1
        expect(binderMatches(key, changed, binder)).to.equal(false)
      }
    })

    it('is the computation of RFC 8446, section 7.1, step by step', () => {
      const hmac = (key: Uint8Array, ...data: Uint8Array[]) => {
        const mac = createHmac('sha256', key)
        for (const part of data) mac.update(part)
        return mac.digest()
      }
      const sha256 = (data: Uint8Array) => createHash('sha256').update(data).digest()
      const expandLabel = (key: Uint8Array, label: string, context: Uint8Array) =>
        hmac(
          key,
          Buffer.of(0, 32, label.length + 6),
          Buffer.from(`tls13 ${label}`),
          Buffer.of(context.length),
          context,
          Buffer.of(1),
        )
      const earlySecret = hmac(Buffer.alloc(32), psk)
      const binderKey = expandLabel(earlySecret, 'ext binder', sha256(Buffer.alloc(0)))
      const finishedKey = expandLabel(binderKey, 'finished', Buffer.alloc(0))
      const truncated = randomBytes(100)
      const binder = hmac(finishedKey, sha256(truncated))
      expect(binderMatches(SecretKey.copyOf(psk), truncated, binder)).to.equal(true)
      expect(binderMatches(SecretKey.copyOf(psk), truncated, binder.subarray(0, 31))).to.equal(false)
    })

    it('leaves the key as it was', () => {
      const key = SecretKey.copyOf(psk)
      binderMatches(key, Buffer.alloc(1), Buffer.alloc(32))
      expect(key.equals(SecretKey.copyOf(psk))).to.equal(true)
    })
  })
})
