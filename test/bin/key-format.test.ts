import { expect } from 'chai'
import fc from 'fast-check'
import { spellKey } from '../../bin/key-format.ts'

describe('spellKey', () => {
  it('spells as Node does, without a string on the way', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 1, maxLength: 200 }),
        fc.constantFrom('hex', 'base64'),
        (bytes, spelling) => {
          expect(spellKey(bytes, spelling).toString('latin1')).to.equal(Buffer.from(bytes).toString(spelling))
        },
      ),
    )
  })
})
