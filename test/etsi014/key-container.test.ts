import { randomBytes, randomUUID } from 'node:crypto'
import { expect } from 'chai'
import fc from 'fast-check'
import { decodeKeyContainer, encodeKeyContainer } from '../../lib/etsi014/key-container.ts'
import type { Key } from '../../lib/interface/kms.ts'
import { exportKey } from '../../lib/key/export-key.ts'
import { SecretKey } from '../../lib/key/secret-key.ts'

const keyOf = (bytes: Uint8Array, more: Partial<Key> = {}): Key => ({
  keyId: randomUUID(),
  secret: SecretKey.copyOf(bytes),
  sizeBits: bytes.byteLength * 8,
  level: 'quantum',
  trustClass: 'direct',
  ...more,
})

const container = (keys: unknown, more: object = {}) => Buffer.from(JSON.stringify({ keys, ...more }))
const bytesOf = (key: Key | undefined) => key && exportKey(key.secret)
const zeros = Buffer.alloc(32)

describe('encodeKeyContainer', () => {
  it('writes the container of the standard, with level and trust class', () => {
    const [first, second] = [keyOf(zeros), keyOf(Buffer.alloc(16, 1), { level: undefined, trustClass: undefined })]
    expect(JSON.parse(encodeKeyContainer([first, second]).toString())).to.deep.equal({
      keys: [
        {
          key_ID: first.keyId,
          key: zeros.toString('base64'),
          key_extension: { qkd_level: 'quantum', qkd_trust_class: 'direct' },
        },
        { key_ID: second.keyId, key: Buffer.alloc(16, 1).toString('base64') },
      ],
    })
    expect(first.secret.wiped).to.equal(false)
  })

  it('writes any key_ID as JSON', () => {
    const keyId = 'weird "\\ \n ü'
    expect(JSON.parse(encodeKeyContainer([keyOf(zeros, { keyId })]).toString()).keys[0].key_ID).to.equal(keyId)
  })
})

describe('decodeKeyContainer', () => {
  it('reads what encodeKeyContainer wrote, for any sizes and numbers', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ minLength: 1, maxLength: 200 }), { minLength: 1, maxLength: 12 }), list => {
        const keys = list.map(bytes => keyOf(bytes))
        const decoded = decodeKeyContainer(encodeKeyContainer(keys))
        expect(decoded.map(bytesOf)).to.deep.equal(list.map(bytes => Buffer.from(bytes)))
        expect(decoded.map(({ secret: _, ...rest }) => rest)).to.deep.equal(keys.map(({ secret: _, ...rest }) => rest))
      }),
      { numRuns: 100 },
    )
  })

  it('wipes the body, and the key in it, also where the body is refused', () => {
    const key = randomBytes(32).toString('base64')
    const good = [{ key_ID: 'a', key }]
    for (const body of [container(good), container([...good, { key: 'AAAA' }]), Buffer.from(`{"key":"${key}" oops`)]) {
      try {
        decodeKeyContainer(body)
      } catch {}
      expect(body.every(byte => byte === 0)).to.equal(true)
    }
  })

  it('reads a container of another project: other order, white space, null and unknown members', () => {
    const text = `\n{ "key_container_extension" : null , "x":{"key":[1],"keys":"key"},
      "keys":[ { "key" :\t"${zeros.toString('base64')}" , "key_ID" : "key" , "key_extension": null, "key_ID_extension" : {} } ] } `
    const [key] = decodeKeyContainer(Buffer.from(text))
    expect(key).to.deep.include({ keyId: 'key', sizeBits: 256, level: undefined, trustClass: undefined })
    expect(bytesOf(key)).to.deep.equal(zeros)
  })

  it('passes over white space in a key, and undoes the escapes of JSON', () => {
    const bytes = Buffer.from('fbefbefffffffbefbe', 'hex')
    const plain = bytes.toString('base64')
    expect(plain).to.match(/\+.*\//)
    const escaped = plain.replaceAll('/', '\\/').replaceAll('+', '\\u002B')
    for (const text of [plain, `${plain}\\n`, ` ${plain.slice(0, 5)}\\r\\n\\t${plain.slice(5)}`, escaped]) {
      const [key] = decodeKeyContainer(Buffer.from(`{"keys":[{"key_ID":"a","key":"${text}"}]}`))
      expect(bytesOf(key), text).to.deep.equal(bytes)
    }
  })

  it('passes over a key_extension that is not ours', () => {
    const [key] = decodeKeyContainer(
      container([{ key_ID: 'a', key: 'AAAA', key_extension: { qkd_level: 'purple', key: 'AAAA', other: 1 } }]),
    )
    expect(key).to.deep.include({ level: undefined, sizeBits: 24 })
  })

  it('refuses what is no container, without a word of the key', () => {
    const key = randomBytes(32).toString('base64')
    const wrong: [string, unknown][] = [
      ['not JSON', `{"keys":[{"key_ID":"a","key":"${key}"}]`],
      ['cut in the key', `{"keys":[{"key_ID":"a","key":"${key.slice(0, 9)}`],
      ['a list', [{ key_ID: 'a', key }]],
      ['no keys', {}],
      ['an empty list', { keys: [] }],
      ['an object for keys', { keys: { key_ID: 'a', key } }],
      ['no key', { keys: [{ key_ID: 'a' }] }],
      ['no key_ID', { keys: [{ key }] }],
      ['a key_ID that is a number', { keys: [{ key_ID: 1, key }] }],
      ['a key that is a number', { keys: [{ key_ID: 'a', key: 0 }] }],
      ['an empty key', { keys: [{ key_ID: 'a', key: '' }] }],
      ['the URL alphabet', { keys: [{ key_ID: 'a', key: '__--__--' }] }],
      ['no padding', { keys: [{ key_ID: 'a', key: key.slice(0, -1) }] }],
      ['base64 of base64 with a line break', { keys: [{ key_ID: 'a', key: `${key}\u00a0` }] }],
      ['hidden name', `{"keys":[{"key_ID":"a","k\\u0065y":"${key}"}]}`],
    ]
    for (const [name, value] of wrong) {
      const body = Buffer.from(typeof value === 'string' ? value : JSON.stringify(value))
      let failure: (Error & { code?: string }) | undefined
      try {
        decodeKeyContainer(body)
      } catch (error) {
        failure = error as Error
      }
      expect(failure?.code, name).to.equal('ERR_QKD_KME_RESPONSE')
      expect(failure?.message, name).not.to.include(key.slice(0, 8))
    }
  })

  it('takes a single key without its list where it may', () => {
    const body = container({ key_ID: 'a', key: 'AAAA' })
    expect(decodeKeyContainer(body, { keysMayBeObject: true })).to.have.length(1)
  })

  it('never gives one key for two entries', () => {
    const text = '{"keys":[{"key_ID":"a","key":"AAAA"},{"key_ID":"b","k\\u0065y":"0"}]}'
    expect(() => decodeKeyContainer(Buffer.from(text))).to.throw('not base64')
  })

  it('ends on any bytes, with keys or an error of ours', () => {
    const piece = fc.constantFrom(
      '{',
      '}',
      '[',
      ']',
      '"',
      ':',
      ',',
      '\\',
      '"key"',
      '"keys"',
      '"key_ID"',
      'AAAA',
      '0',
      ' ',
      'u',
    )
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 40 }), pieces => {
        try {
          decodeKeyContainer(Buffer.from(pieces.join('')))
        } catch (error) {
          expect((error as { code?: string }).code).to.equal('ERR_QKD_KME_RESPONSE')
        }
      }),
      { numRuns: 500 },
    )
  })
})
