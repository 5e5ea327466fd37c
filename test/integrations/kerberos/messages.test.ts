import { expect } from 'chai'
import fc from 'fast-check'
import { checksum } from '../../../integrations/kerberos/crypto/encryption.ts'
import type { KerberosKey } from '../../../integrations/kerberos/enctype.ts'
import { decodeApReq, encodeApReq } from '../../../integrations/kerberos/messages/ap-req.ts'
import { openAuthenticator, sealAuthenticator } from '../../../integrations/kerberos/messages/authenticator.ts'
import { DerReader, der, derWrite } from '../../../integrations/kerberos/messages/der.ts'
import { decodeTgsRep, decodeTgsReq, encodeTgsReq } from '../../../integrations/kerberos/messages/tgs-req.ts'
import { decodeTicket, encodeTicket, openTicket } from '../../../integrations/kerberos/messages/ticket.ts'
import { ProtocolError } from '../../../lib/errors.ts'
import { SecretKey } from '../../../lib/key/secret-key.ts'

const key = (): KerberosKey => ({ enctype: 20, secret: SecretKey.random(32) })
const server = { nameType: 2, components: ['krbtgt', 'B.QKD'], realm: 'A.QKD' }
const client = { nameType: 1, components: ['alice'], realm: 'A.QKD' }
const ticket = { server, encrypted: { enctype: 20, kvno: 4242, cipher: Buffer.alloc(60, 1) } }

/** Runs `decode` over damaged copies of `bytes`: it may succeed or throw a ProtocolError, nothing else. */
function fuzz(bytes: Uint8Array, decode: (bytes: Uint8Array) => unknown): void {
  fc.assert(
    fc.property(
      fc.nat(bytes.byteLength - 1),
      fc.nat(255),
      fc.nat(bytes.byteLength),
      fc.boolean(),
      (at, to, end, cut) => {
        const damaged = Buffer.from(bytes)
        damaged[at] = to
        try {
          decode(cut ? damaged.subarray(0, end) : damaged)
        } catch (error) {
          expect(error).to.be.instanceOf(ProtocolError)
        }
      },
    ),
    { numRuns: 1000 },
  )
}

describe('DerReader', () => {
  it('gives back integers, texts and times that were written', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: -(2 ** 40), max: 2 ** 40 }),
        fc.string(),
        fc.integer({ min: 0, max: 4e12 }),
        (n, t, at) => {
          const seconds = Math.floor(at / 1000) * 1000
          const { integer, text, time } = derWrite
          const reader = new DerReader(Buffer.concat([integer(n), text(t), time(seconds)]))
          expect([reader.integer(), reader.text(), reader.time()]).to.deep.equal([
            n,
            Buffer.from(t).toString(),
            seconds,
          ])
          reader.end()
        },
      ),
    )
  })

  for (const [what, bytes] of [
    ['an indefinite length', '3080'],
    ['a length longer than it need be', `308105${'00'.repeat(5)}`],
    ['a length with a zero ahead', `30820080${'00'.repeat(128)}`],
    ['a length past the end', '300502'],
    ['a length of five bytes', '30850000000001'],
  ] as const) {
    it(`refuses ${what}`, () =>
      expect(() => new DerReader(Buffer.from(bytes, 'hex')).sequence()).to.throw(ProtocolError))
  }

  it('refuses to go deeper than messages do', () => {
    let nested: Buffer = Buffer.alloc(0)
    for (let i = 0; i < 40; i += 1) nested = der(0x30, nested)
    const descend = (reader: DerReader): void => descend(reader.sequence())
    expect(() => descend(new DerReader(nested))).to.throw('nests too deep')
  })
})

describe('Ticket', () => {
  it('is the same after its way through bytes', () => {
    expect(decodeTicket(encodeTicket(ticket))).to.deep.equal(ticket)
  })

  it('refuses with a ProtocolError alone what is damaged', () => fuzz(encodeTicket(ticket), decodeTicket))

  it('says that it is sealed under another type of key', () => {
    expect(() => openTicket(ticket, { enctype: 18, secret: SecretKey.random(32) })).to.throw('type 20, not 18')
  })

  it('does not open under a key that was not its own', () => {
    expect(() => openTicket(ticket, key())).to.throw('does not open')
  })
})

describe('ApReq', () => {
  const sessionKey = key()
  const authenticator = {
    enctype: 20,
    kvno: undefined,
    cipher: sealAuthenticator({ client, sessionKey, target: 'service' }),
  }
  const apReq = { options: 0x2000_0000, ticket, authenticator }

  it('tells service and kvno of its ticket in the clear', () => {
    const read = decodeApReq(encodeApReq(apReq))
    expect(read).to.deep.equal(apReq)
    expect(read.ticket.encrypted.kvno).to.equal(4242)
  })

  it('refuses with a ProtocolError alone what is damaged', () => fuzz(encodeApReq(apReq), decodeApReq))

  it('has an authenticator that names the client, to a holder of the session key', () => {
    const read = openAuthenticator(authenticator.cipher, sessionKey, 'service')
    expect(read.client).to.deep.equal(client)
    expect(() => openAuthenticator(authenticator.cipher, key(), 'service')).to.throw('does not open')
  })
})

describe('TgsReq', () => {
  const grant = { client, ticket, sessionKey: key() }
  const request = {
    server: { nameType: 3, components: ['HTTP', 'hostb.test'], realm: 'B.QKD' },
    tillMs: 2_000_000_000_000,
    enctypes: [20, 18],
    options: 0x4081_0000,
    nonce: 12_345,
  }
  const bytes = encodeTgsReq(grant, request)

  it('carries request and ticket, bound to each other by the checksum of a fresh authenticator', () => {
    const read = decodeTgsReq(bytes)
    expect(read.request).to.deep.equal(request)
    expect(read.apReq.ticket).to.deep.equal(ticket)
    const { checksum: sum } = openAuthenticator(read.apReq.authenticator.cipher, grant.sessionKey, 'kdc')
    expect(sum).to.deep.equal(checksum(grant.sessionKey, 6, read.body))
  })

  it('differs each time', () => expect(encodeTgsReq(grant, request)).to.not.deep.equal(bytes))

  it('refuses with a ProtocolError alone what is damaged', () => fuzz(bytes, decodeTgsReq))

  it('has replies that are refused with a ProtocolError alone when damaged', () => {
    fuzz(bytes, reply => decodeTgsRep(reply, grant.sessionKey))
  })
})
