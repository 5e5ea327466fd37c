import { expect } from 'chai'
import fc from 'fast-check'
import { formatIdentity, MAX_SAE_ID_BYTES, parseIdentity } from '../../../integrations/tls/index.ts'

const keyId = '0a1b2c3d-4e5f-4a6b-8c7d-9e0f1a2b3c4d'
const name = fc.stringMatching(/^[A-Za-z0-9._@/-]{1,40}$/)

describe('the identity of a key', () => {
  it('reads as what was written', () => {
    fc.assert(
      fc.property(name, name, (masterSaeId, keyId) => {
        expect(parseIdentity(Buffer.from(formatIdentity({ masterSaeId, keyId })))).to.include({ masterSaeId })
      }),
    )
    expect(formatIdentity({ masterSaeId: 'alice@site.example/1', keyId })).to.equal(`q1~alice@site.example/1~${keyId}`)
  })

  it('has room for the longest SAE ID with a UUID, and no more', () => {
    const identity = formatIdentity({ masterSaeId: 'a'.repeat(MAX_SAE_ID_BYTES), keyId })
    expect(identity).to.have.length(128)
    expect(() => formatIdentity({ masterSaeId: 'a'.repeat(MAX_SAE_ID_BYTES + 1), keyId })).to.throw(keyId)
    expect(parseIdentity(Buffer.from(`${identity}a`))).to.equal(undefined)
  })

  it('has one spelling for a UUID, and leaves other key_IDs alone', () => {
    const parse = (text: string) => parseIdentity(Buffer.from(text))?.keyId
    expect(parse(`q1~alice~${keyId.toUpperCase()}`)).to.equal(keyId)
    expect(parse('q1~alice~Key-7')).to.equal('Key-7')
  })

  it('is read from nothing else, whatever the bytes', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), bytes => parseIdentity(Buffer.from(bytes)) === undefined))
    for (const text of [
      '',
      'q1~',
      'q1~a~',
      'q1~~a',
      'q1~a~b~c',
      'q1~a~b\n',
      'q1~a~b\0',
      ' q1~a~b',
      'q1~a~é',
      'Q1~a~b',
    ]) {
      expect(parseIdentity(Buffer.from(text)), JSON.stringify(text)).to.equal(undefined)
    }
  })
})
