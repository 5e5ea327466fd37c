import { expect } from 'chai'
import fc from 'fast-check'
import { type KeytabEntry, readKeytab, writeKeytab } from '../../../integrations/kerberos/keytab.ts'
import { ProtocolError } from '../../../lib/errors.ts'
import { SecretKey } from '../../../lib/key/secret-key.ts'

const entry = (fields: Partial<KeytabEntry> = {}): KeytabEntry => ({
  principal: 'host/x.test@A.QKD',
  timestamp: 1_700_000_000,
  kvno: 3,
  enctype: 20,
  secret: SecretKey.copyOf(Buffer.alloc(32, 7)),
  ...fields,
})

describe('writeKeytab', () => {
  it('writes the layout of version 0x0502 with both fields of the kvno', () => {
    expect(writeKeytab([entry({ kvno: 4242 })]).toString('hex')).to.equal(
      ['0502', '0000004c', '0002', '0005412e514b44', '0004686f7374', '0006782e74657374', '00000001', '6553f100', '92']
        .concat(['0014', '0020', '07'.repeat(32), '00001092'])
        .join('')
        .replace('0000004c', (2 + 7 + 6 + 8 + 4 + 4 + 1 + 2 + 2 + 32 + 4).toString(16).padStart(8, '0')),
    )
  })

  it('gives names the types that MIT gives them', () => {
    const types = ['krbtgt/B.QKD@A.QKD', 'alice@A.QKD', 'HTTP/x@A.QKD'].map(
      principal => readKeytab(writeKeytab([entry({ principal })]))[0]!.nameType,
    )
    expect(types).to.deep.equal([2, 1, 1])
  })
})

describe('readKeytab', () => {
  it('gives back whatever was written', () => {
    const part = fc.stringMatching(/^[A-Za-z0-9._$-]{1,20}$/)
    const one = fc.record({
      principal: fc.tuple(fc.array(part, { minLength: 1, maxLength: 4 }), part).map(([c, r]) => `${c.join('/')}@${r}`),
      nameType: fc.nat(10),
      timestamp: fc.nat(2 ** 31 - 1),
      kvno: fc.integer({ min: 1, max: 2 ** 31 - 1 }),
      enctype: fc.integer({ min: 1, max: 65_535 }),
      bytes: fc.uint8Array({ minLength: 1, maxLength: 40 }),
    })
    fc.assert(
      fc.property(fc.array(one, { maxLength: 6 }), list => {
        const entries = list.map(({ bytes, ...rest }) => ({ ...rest, secret: SecretKey.copyOf(bytes) }))
        const back = readKeytab(writeKeytab(entries))
        expect(back.map(({ secret: _, ...rest }) => rest)).to.deep.equal(entries.map(({ secret: _, ...rest }) => rest))
        expect(back.every(({ secret }, i) => secret.equals(entries[i]!.secret))).to.equal(true)
      }),
    )
  })

  it('passes over holes, and over zeros at the end', () => {
    const file = writeKeytab([entry(), entry({ kvno: 4 })])
    const size = file.readInt32BE(2)
    file.writeInt32BE(-size, 2)
    const padded = Buffer.concat([file, Buffer.alloc(9)])
    expect(readKeytab(padded).map(({ kvno }) => kvno)).to.deep.equal([4])
  })

  it('takes the short kvno where the long one is left out', () => {
    const whole = writeKeytab([entry({ kvno: 9 })])
    const short = Buffer.from(whole.subarray(0, -4))
    short.writeInt32BE(short.byteLength - 6, 2)
    expect(readKeytab(short)[0]!.kvno).to.equal(9)
  })

  it('refuses with a ProtocolError, and nothing else, whatever is damaged or cut', () => {
    const file = writeKeytab([entry(), entry({ kvno: 4 })])
    fc.assert(
      fc.property(fc.nat(file.byteLength - 1), fc.nat(255), fc.nat(file.byteLength), (at, byte, end) => {
        const damaged = Buffer.from(file)
        damaged[at] = byte
        try {
          readKeytab(damaged.subarray(0, end))
        } catch (error) {
          expect(error).to.be.instanceOf(ProtocolError)
        }
      }),
      { numRuns: 500 },
    )
    for (const bytes of [Buffer.alloc(0), Buffer.from('0501', 'hex'), Buffer.from('05027fffffff', 'hex')]) {
      expect(() => readKeytab(bytes)).to.throw(ProtocolError)
    }
    expect(() => readKeytab(Buffer.alloc(5 * 1024 * 1024))).to.throw('too many')
  })
})
