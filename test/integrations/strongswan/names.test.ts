import { expect } from 'chai'
import fc from 'fast-check'
import { parseSharedId, ppkId, sharedId } from '../../../integrations/strongswan/charon/names.ts'

describe('ppkId', () => {
  it('is the key_ID before the name of the connection', () => {
    expect(ppkId('c', '1d1883da-b5b8-4cec-a5fc-e57501c07f8d')).to.equal('1d1883da-b5b8-4cec-a5fc-e57501c07f8d@c.qkd')
  })

  it('is never what charon takes for an address, hex, a key or a pattern, and differs in more than case', () => {
    const printable = fc.string({ unit: fc.integer({ min: 0x21, max: 0x7e }).map(code => String.fromCharCode(code)) })
    const keyIds = printable.filter(text => text.length > 0)
    fc.assert(
      fc.property(keyIds, keyIds, (one, other) => {
        expect(ppkId('c', one)).to.match(/^[a-z0-9-]+@c\.qkd$/)
        expect(ppkId('c', one) === ppkId('c', other)).to.equal(one === other)
      }),
    )
    for (const odd of ['10.9.8.7', 'fd00::1', '@#0a', 'keyid:x', '%any', '*', 'A', 'a@b']) {
      expect(ppkId('c', odd)).to.match(/^x[0-9a-f]+@c\.qkd$/)
    }
  })
})

describe('sharedId', () => {
  it('says which connection and key a secret belongs to', () => {
    expect(parseSharedId(sharedId('site-b', 'k:1'))).to.deep.equal({ connection: 'site-b', keyId: 'k:1' })
    for (const other of ['ike-1', 'qkd-psk:a:b', 'qkd:', 'qkd:c', 'qkd:C:k']) {
      expect(parseSharedId(other)).to.equal(undefined)
    }
  })
})
