import { randomBytes } from 'node:crypto'
import { expect } from 'chai'
import { base64Length, decodeBase64, encodeBase64 } from '../../lib/etsi014/base64.ts'

const encode = (bytes: Uint8Array) => {
  const out = Buffer.alloc(base64Length(bytes.byteLength) + 2, '.')
  expect(encodeBase64(bytes, out, 1)).to.equal(out.byteLength - 1)
  return out.toString('latin1')
}

describe('base64', () => {
  it("writes what node's own writes, for every length", () => {
    for (let sizeBytes = 0; sizeBytes <= 70; sizeBytes += 1) {
      const bytes = randomBytes(sizeBytes)
      expect(encode(bytes)).to.equal(`.${bytes.toString('base64')}.`)
    }
  })

  it('reads what it wrote, for every length', () => {
    for (let sizeBytes = 1; sizeBytes <= 70; sizeBytes += 1) {
      const bytes = randomBytes(sizeBytes)
      expect(decodeBase64(Buffer.from(bytes.toString('base64')))).to.deep.equal(bytes)
    }
  })

  it('reads every character of the alphabet', () => {
    const text = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'
    expect(decodeBase64(Buffer.from(text))).to.deep.equal(Buffer.from(text, 'base64'))
  })

  it('refuses the URL alphabet, missing and misplaced padding, whitespace, and spellings that are not canonical', () => {
    const wrong = [
      '',
      'A',
      'AA',
      'AAA',
      'AA-_',
      'AA==AAAA',
      'A===',
      '====',
      'AA=A',
      'AAAA=',
      'AAA\n',
      ' AAA',
      'AB==',
      'AAB=',
    ]
    for (const text of wrong) expect(decodeBase64(Buffer.from(text)), text).to.equal(undefined)
    expect(decodeBase64(Buffer.from([0x41, 0x41, 0x41, 0xe9]))).to.equal(undefined)
  })
})
