import { expect } from 'chai'
import fc from 'fast-check'
import { SecretKey } from '../../lib/key/secret-key.ts'
import { openTransfer, sealTransfer, transferBytes, transferPadBytes } from '../../lib/key/transfer.ts'

const header = Buffer.from('who gets what')
const copy = (key: SecretKey) => key.expose('application', bytes => SecretKey.copyOf(bytes))

describe('the transfer of a key', () => {
  it('gives the key to whoever has pad and header, at any size', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 3000 }), size => {
        const [key, pad] = [SecretKey.random(size), SecretKey.random(transferPadBytes(size))]
        const padThere = copy(pad)
        const sealed = sealTransfer(key, pad, header)
        expect(sealed.byteLength).to.equal(transferBytes(size))
        expect(openTransfer(sealed, padThere, header)?.equals(key)).to.equal(true)
        expect([pad.wiped, padThere.wiped]).to.deep.equal([true, true])
      }),
      { numRuns: 50 },
    )
  })

  it('gives nothing where a bit of it, of the header or of the pad is another, and spends the pad', () => {
    const [key, pad] = [SecretKey.random(32), SecretKey.random(64)]
    const pads = Array.from({ length: 60 }, () => copy(pad))
    const sealed = sealTransfer(key, pad, header)
    for (let at = 0; at < sealed.byteLength; at++) {
      const altered = Uint8Array.from(sealed)
      altered[at]! ^= 1 << (at % 8)
      const own = pads.pop()!
      expect(openTransfer(altered, own, header)).to.equal(undefined)
      expect(own.wiped).to.equal(true)
    }
    expect(openTransfer(sealed, pads.pop()!, Buffer.from('who gets more'))).to.equal(undefined)
    expect(openTransfer(sealed, SecretKey.random(64), header)).to.equal(undefined)
    expect(openTransfer(sealed, SecretKey.random(63), header)).to.equal(undefined)
    expect(openTransfer(sealed.subarray(0, 16), SecretKey.random(32), header)).to.equal(undefined)
    expect(openTransfer(sealed, pads.pop()!, header)?.equals(key)).to.equal(true)
  })
})
