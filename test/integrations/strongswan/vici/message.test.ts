import { expect } from 'chai'
import fc from 'fast-check'
import {
  decodeViciMessage,
  encodeViciMessage,
  type ViciSection,
} from '../../../../integrations/strongswan/vici/message.ts'
import { ProtocolError, QkdError } from '../../../../lib/errors.ts'

const name = fc.string({ minLength: 1, maxLength: 20 }).filter(text => /^(?!\d+$)/.test(text))
const leaf = fc.oneof(
  fc.string(),
  // What is UTF-8 comes back as text.
  fc.uint8Array({ minLength: 1 }).filter(bytes => !Buffer.from(Buffer.from(bytes).toString()).equals(bytes)),
)
const { section } = fc.letrec<{ section: ViciSection; value: never }>(tie => ({
  section: fc.dictionary(
    // These are lists always, in their own test.
    name.filter(text => !['owners', 'vips', 'pools', 'certs', 'groups'].includes(text)),
    tie('value'),
    { maxKeys: 5 },
  ),
  value: fc.oneof({ maxDepth: 4 }, leaf, fc.array(leaf, { maxLength: 4 }), tie('section')) as fc.Arbitrary<never>,
}))

const failsWith = (run: () => unknown, code: string, text: RegExp) => {
  expect(run).to.throw(QkdError, text).with.property('code', code)
}

describe('ViciMessage', () => {
  it('has the bytes that the protocol asks for', () => {
    const message = { key1: 'value1', section1: { 'sub-section': { key2: 'value2' }, list1: ['item1', 'item2'] } }
    const expected = Buffer.concat([
      Buffer.of(3, 4),
      Buffer.from('key1'),
      Buffer.of(0, 6),
      Buffer.from('value1'),
      Buffer.of(1, 8),
      Buffer.from('section1'),
      Buffer.of(1, 11),
      Buffer.from('sub-section'),
      Buffer.of(3, 4),
      Buffer.from('key2'),
      Buffer.of(0, 6),
      Buffer.from('value2'),
      Buffer.of(2),
      Buffer.of(4, 5),
      Buffer.from('list1'),
      Buffer.of(5, 0, 5),
      Buffer.from('item1'),
      Buffer.of(5, 0, 5),
      Buffer.from('item2'),
      Buffer.of(6, 2),
    ])
    expect(encodeViciMessage(message).equals(expected)).to.equal(true)
    expect(JSON.stringify(decodeViciMessage(expected))).to.equal(JSON.stringify(message))
  })

  it('comes back as it was sent, whatever stands in it', () => {
    fc.assert(
      fc.property(section, message => {
        const bytes = encodeViciMessage(message)
        const again = encodeViciMessage(decodeViciMessage(bytes))
        expect(again.equals(bytes)).to.equal(true)
      }),
    )
  })

  it('keeps bytes that are no text as they are', () => {
    const data = Buffer.of(0, 255, 128, 0)
    expect(Buffer.from(decodeViciMessage(encodeViciMessage({ data })).data as Uint8Array).equals(data)).to.equal(true)
  })

  it('takes any name, and none from a prototype', () => {
    const decoded = decodeViciMessage(encodeViciMessage({ constructor: 'a', toString: 'b' }))
    expect(Object.keys(decoded)).to.deep.equal(['constructor', 'toString'])
    expect(decodeViciMessage(Buffer.alloc(0)).constructor).to.equal(undefined)
    const proto = Buffer.concat([Buffer.of(3, 9), Buffer.from('__proto__'), Buffer.of(0, 1), Buffer.from('x')])
    expect(Object.keys(decodeViciMessage(proto))).to.deep.equal(['__proto__'])
  })

  it('leaves out what is undefined', () => {
    expect(encodeViciMessage({ a: undefined }).byteLength).to.equal(0)
  })

  it('refuses owners that are no list, which charon would pass over', () => {
    failsWith(() => encodeViciMessage({ owners: 'a' }), 'ERR_QKD_INVALID_ARGUMENT', /^owners must be a list/)
    failsWith(() => encodeViciMessage({ a: { local_ts: 'a' } }), 'ERR_QKD_INVALID_ARGUMENT', /^local_ts must be a list/)
  })

  it('refuses names and values that do not fit, and takes the longest that do', () => {
    const refused = (message: ViciSection, text: RegExp) =>
      failsWith(() => encodeViciMessage(message), 'ERR_QKD_INVALID_ARGUMENT', text)
    refused({ '': 'a' }, /1 to 255 bytes, not 0/)
    refused({ ['n'.repeat(256)]: 'a' }, /not 256/)
    refused({ ['é'.repeat(128)]: 'a' }, /not 256/)
    refused({ a: 'v'.repeat(65_536) }, /a has 65536 bytes/)
    refused({ a: Buffer.alloc(65_536) }, /a has 65536 bytes/)
    refused({ a: ['v'.repeat(65_536)] }, /a has 65536 bytes/)
    refused({ a: [1 as never] }, /must be text or bytes, not number/)
    const longest = { ['n'.repeat(255)]: 'v'.repeat(65_535) }
    expect(decodeViciMessage(encodeViciMessage(longest))).to.deep.equal(
      Object.assign(Object.create(null), longest) as object,
    )
  })

  it('refuses what is nested without end', () => {
    let deep: ViciSection = {}
    for (let level = 0; level < 40; level += 1) deep = { a: deep }
    failsWith(() => encodeViciMessage(deep), 'ERR_QKD_INVALID_ARGUMENT', /levels deep/)
    const bytes = Buffer.concat(Array.from({ length: 100_000 }, () => Buffer.of(1, 1, 97)))
    failsWith(() => decodeViciMessage(bytes), 'ERR_QKD_PROTOCOL', /levels deep/)
  })

  for (const [what, bytes] of [
    ['a section without an end', [1, 1, 97]],
    ['an end without a section', [2]],
    ['a list without an end', [4, 1, 97, 5, 0, 0]],
    ['an item outside of a list', [5, 0, 0]],
    ['a pair inside of a list', [4, 1, 97, 3, 1, 97, 0, 0, 6]],
    ['an end of a list outside of one', [6]],
    ['an element that does not exist', [7]],
    ['a name that is empty', [3, 0, 0, 0]],
    ['a name that is cut short', [3, 5, 97]],
    ['a value that is cut short', [3, 1, 97, 0, 9, 97]],
  ] as const) {
    it(`refuses ${what}`, () => failsWith(() => decodeViciMessage(Buffer.from(bytes)), 'ERR_QKD_PROTOCOL', /./))
  }

  it('ends with a message or an error on any bytes at all', () => {
    const end = (bytes: Uint8Array) => {
      try {
        decodeViciMessage(bytes)
      } catch (error) {
        expect(error).to.be.instanceOf(ProtocolError)
      }
    }
    fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), end), { numRuns: 2_000 })
    fc.assert(
      fc.property(section, fc.nat(), fc.nat(255), (message, at, value) => {
        const bytes = encodeViciMessage(message)
        if (bytes.byteLength === 0) return
        end(bytes.subarray(0, at % bytes.byteLength))
        bytes[at % bytes.byteLength] = value
        end(bytes)
      }),
      { numRuns: 1_000 },
    )
  })
})
