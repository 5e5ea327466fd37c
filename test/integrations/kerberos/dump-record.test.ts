import { expect } from 'chai'
import fc from 'fast-check'
import { type DumpRecord, formatDump, parseDump } from '../../../integrations/kerberos/kdb/dump-record.ts'
import { ProtocolError } from '../../../lib/errors.ts'

const record: DumpRecord = {
  principal: 'krbtgt/B.QKD@A.QKD',
  attributes: 128,
  maxLife: 36_000,
  maxRenewableLife: 0,
  expiration: 0,
  passwordExpiration: 0,
  lastSuccess: 1,
  lastFailed: 2,
  failures: 3,
  tags: [
    { type: 8, data: Buffer.from('0100', 'hex') },
    { type: 11, data: Buffer.alloc(0) },
  ],
  keys: [
    { kvno: 7, parts: [{ type: 20, data: Buffer.alloc(60, 5) }] },
    {
      kvno: 6,
      parts: [
        { type: 18, data: Buffer.alloc(62, 6) },
        { type: 0, data: Buffer.alloc(0) },
      ],
    },
  ],
}

describe('formatDump', () => {
  it('writes what parseDump reads', () => expect(parseDump(formatDump([record]))).to.deep.equal([record]))

  for (const kvno of [0, 65_536, 70_000, -1, 1.5]) {
    it(`refuses kvno ${kvno}, at which kdb5_util load would leave the realm disabled`, () => {
      expect(() => formatDump([{ ...record, keys: [{ ...record.keys[0]!, kvno }] }])).to.throw('kvno must be')
    })
  }

  it('refuses a name that would begin another field or line', () => {
    for (const principal of ['a\tb@A', 'a\nb@A']) expect(() => formatDump([{ ...record, principal }])).to.throw()
  })
})

describe('parseDump', () => {
  it('passes policies over and says in which line a fault is', () => {
    const text = formatDump([record]).replace('\nprinc', '\npolicy\tx\nprinc')
    expect(parseDump(text)).to.have.length(1)
    expect(() => parseDump(text.replace('\t36000\t', '\tten\t'))).to.throw('Line 3 of the dump: maximum life')
  })

  it('refuses another version', () => {
    expect(() => parseDump('kdb5_util load_dump version 6\n')).to.throw('version 7')
  })

  it('refuses with a ProtocolError alone what is damaged', () => {
    const text = formatDump([record])
    const character = fc.constantFrom('\t', '\n', '0', '9', '-', 'x', '')
    fc.assert(
      fc.property(fc.nat(text.length), character, (at, to) => {
        try {
          parseDump(text.slice(0, at) + to + text.slice(at + 1))
        } catch (error) {
          expect(error).to.be.instanceOf(ProtocolError)
        }
      }),
      { numRuns: 500 },
    )
  })
})
