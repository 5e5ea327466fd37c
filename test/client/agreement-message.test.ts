import { expect } from 'chai'
import fc from 'fast-check'
import { type AgreementMessage, decodeMessage, encodeMessage } from '../../lib/client/agreement/message.ts'
import { QkdError } from '../../lib/errors.ts'

const bytes32 = fc.uint8Array({ minLength: 32, maxLength: 32 })
const level = fc.constantFrom('one-time-pad', 'quantum', 'hybrid', 'expanded', 'post-quantum', undefined)
const printable = (maxLength: number) =>
  fc.string({
    unit: fc.integer({ min: 0x21, max: 0x7e }).map(code => String.fromCharCode(code)),
    minLength: 1,
    maxLength,
  })
const saeId = fc.oneof(printable(291), fc.constantFrom('Zürich', '鍵', 'a b', '😀'.repeat(145)))

const message = fc.oneof(
  fc.record({
    type: fc.constant('offer' as const),
    agreementId: bytes32,
    masterSaeId: saeId,
    slaveSaeId: saeId,
    purpose: printable(128),
    sizeBits: fc.integer({ min: 32, max: 64 }).map(bytes => bytes * 8),
    level,
  }),
  fc.record({ type: fc.constant('ready' as const), agreementId: bytes32, nonce: bytes32 }),
  fc.record({
    type: fc.constant('selection' as const),
    agreementId: bytes32,
    keyId: fc.oneof(fc.uuid(), printable(128)),
    level,
    proof: bytes32,
  }),
  fc.record({ type: fc.constant('confirmation' as const), agreementId: bytes32, proof: bytes32 }),
  fc.record({
    type: fc.constant('refusal' as const),
    agreementId: bytes32,
    code: fc.constantFrom('wrong-names', 'busy', 'kms-refused', 'cancelled'),
  }),
) as fc.Arbitrary<AgreementMessage>

/** What `bytes` spell, or undefined where they are refused as they should be. */
function decoded(bytes: Uint8Array): AgreementMessage | undefined {
  try {
    return decodeMessage(bytes)
  } catch (error) {
    if (error instanceof QkdError && error.code === 'ERR_QKD_PROTOCOL') return undefined
    throw error
  }
}

const id = Buffer.alloc(32, 0x11)
const offer: AgreementMessage = {
  type: 'offer',
  agreementId: id,
  masterSaeId: 'alice',
  slaveSaeId: 'bob',
  purpose: 'a use',
  sizeBits: 256,
  level: 'quantum',
}

describe('encodeMessage', () => {
  const vectors: [AgreementMessage, string][] = [
    [offer, `01${id.toString('hex')}0005616c6963650003626f6200056120757365${'00000100'}02`],
    [{ type: 'ready', agreementId: id, nonce: Buffer.alloc(32, 0x22) }, `02${id.toString('hex')}${'22'.repeat(32)}`],
    [
      { type: 'selection', agreementId: id, keyId: 'k1', level: undefined, proof: Buffer.alloc(32, 0x33) },
      `03${id.toString('hex')}00026b3100${'33'.repeat(32)}`,
    ],
    [
      { type: 'confirmation', agreementId: id, proof: Buffer.alloc(32, 0x44) },
      `04${id.toString('hex')}${'44'.repeat(32)}`,
    ],
    [{ type: 'refusal', agreementId: id, code: 'cancelled' }, `05${id.toString('hex')}0b`],
  ]

  for (const [vector, hex] of vectors) {
    it(`spells the ${vector.type} as it always has`, () => {
      expect(encodeMessage(vector).toString('hex')).to.equal(`${Buffer.from('qka1').toString('hex')}${hex}`)
    })
  }

  it('is undone by decodeMessage', () => {
    fc.assert(
      fc.property(message, original => {
        const read = decodeMessage(encodeMessage(original))
        expect(encodeMessage(read)).to.deep.equal(encodeMessage(original))
        expect(read.type).to.equal(original.type)
      }),
    )
  })
})

describe('decodeMessage', () => {
  it('takes no message that is cut short or has a byte too many', () => {
    fc.assert(
      fc.property(message, original => {
        const whole = encodeMessage(original)
        for (let length = 0; length < whole.byteLength; length += 1) {
          expect(decoded(whole.subarray(0, length)), `${length} bytes`).to.equal(undefined)
        }
        expect(decoded(Buffer.concat([whole, Buffer.alloc(1)]))).to.equal(undefined)
      }),
      { numRuns: 20 },
    )
  })

  it('takes no two spellings of one message, however they were altered', function () {
    this.timeout(60_000)
    let taken = 0
    fc.assert(
      fc.property(message, fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 4 }), (original, edits) => {
        const altered = Uint8Array.from(encodeMessage(original))
        for (const [at, value] of edits) altered[at % altered.byteLength] = value
        const read = decoded(altered)
        if (read === undefined) return
        taken += 1
        expect(encodeMessage(read)).to.deep.equal(Buffer.from(altered))
      }),
      { numRuns: 20_000 },
    )
    // Otherwise nothing was tried.
    expect(taken).to.be.above(2_000)
  })

  it('refuses any bytes at all without another error', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), bytes => {
        expect(decoded(bytes)).to.equal(undefined)
        decoded(Buffer.concat([Buffer.from('qka1'), bytes]))
      }),
      { numRuns: 5_000 },
    )
  })

  for (const [what, altered] of [
    ['an SAE ID with a control character', { ...offer, masterSaeId: 'ali\u0000ce' }],
    ['an SAE ID behind a byte order mark', { ...offer, masterSaeId: '\ufeffalice' }],
    ['an empty SAE ID', { ...offer, slaveSaeId: '' }],
    ['an SAE ID that is too long', { ...offer, slaveSaeId: 'b'.repeat(292) }],
    ['a purpose with another character', { ...offer, purpose: 'naïve' }],
    ['a purpose with a space at its end', { ...offer, purpose: 'a use ' }],
    ['an empty purpose', { ...offer, purpose: '' }],
    ['a purpose that is too long', { ...offer, purpose: 'p'.repeat(129) }],
    ['a key that is too short', { ...offer, sizeBits: 248 }],
    ['a key that is too long', { ...offer, sizeBits: 520 }],
    ['a key of no whole bytes', { ...offer, sizeBits: 257 }],
    ['an empty key_ID', { type: 'selection', agreementId: id, keyId: '', level: undefined, proof: id }],
    ['a key_ID with a space', { type: 'selection', agreementId: id, keyId: 'a b', level: undefined, proof: id }],
    ['more than a message may have', { ...offer, masterSaeId: 'x'.repeat(5_000) }],
  ] as [string, AgreementMessage][]) {
    it(`refuses ${what}`, () => expect(decoded(encodeMessage(altered))).to.equal(undefined))
  }

  it('refuses a text that is no UTF-8, and levels and refusals that do not exist', () => {
    const bytes = encodeMessage(offer)
    const at = bytes.indexOf('alice')
    for (const [place, value] of [
      [at, 0xff],
      [bytes.byteLength - 1, 6],
    ] as const) {
      const altered = Buffer.from(bytes)
      altered[place] = value
      expect(decoded(altered)).to.equal(undefined)
    }
    const refusal = encodeMessage({ type: 'refusal', agreementId: id, code: 'busy' })
    for (const code of [0, 12, 255]) {
      refusal[refusal.byteLength - 1] = code
      expect(decoded(refusal)).to.equal(undefined)
    }
  })
})
