import { createHash, createHmac, randomBytes } from 'node:crypto'
import { expect } from 'chai'
import { packetSize, readAccessRequest, writeAnswer } from '../../../../integrations/kerberos/otp/radius-packet.ts'
import { ProtocolError } from '../../../../lib/index.ts'
import { accessRequest } from './access-request.ts'

describe('RADIUS packets', () => {
  it('read a request as RFC 2865, section 7.1 hides its password, but for the secret', () => {
    const authenticator = Buffer.from('0f403f9473978057bd83d5cb98f4227a', 'hex')
    const request = readAccessRequest(accessRequest({ id: 9, user: 'nemo', password: 'arctangent', authenticator }))
    expect(request).to.deep.equal({
      id: 9,
      authenticator,
      userName: 'nemo',
      password: 'arctangent',
      isAuthenticated: false,
    })
  })

  for (const length of [1, 15, 16, 17, 80, 127, 128]) {
    it(`read a password of ${length} characters`, () => {
      const password = 'p'.repeat(length)
      expect(readAccessRequest(accessRequest({ password })).password).to.equal(password)
    })
  }

  it('answer under the request’s authenticator', () => {
    const request = readAccessRequest(accessRequest({ id: 77 }))
    const answer = writeAnswer('accept', request)
    expect([...answer.subarray(0, 4)]).to.deep.equal([2, 77, 0, 20])
    const expected = createHash('md5').update(answer.subarray(0, 4)).update(request.authenticator).digest()
    expect(answer.subarray(4)).to.deep.equal(expected)
    expect(writeAnswer('reject', request)[0]).to.equal(3)
  })

  it('verify a Message-Authenticator and answer with one', () => {
    const packet = accessRequest({ isAuthenticated: true })
    const request = readAccessRequest(packet)
    expect(request.isAuthenticated).to.equal(true)
    const answer = writeAnswer('accept', request)
    const signed = Buffer.from(answer)
    request.authenticator.copy(signed, 4)
    const proof = Buffer.from(signed.subarray(22, 38))
    signed.fill(0, 22, 38)
    expect(createHmac('md5', '').update(signed).digest()).to.deep.equal(proof)
    packet[packet.byteLength - 1]! ^= 1
    expect(() => readAccessRequest(packet)).to.throw(ProtocolError, /Message-Authenticator is wrong/)
  })

  it('refuse what is malformed', () => {
    const cut = accessRequest({})
    expect(() => readAccessRequest(cut.subarray(0, cut.byteLength - 1))).to.throw(ProtocolError, /cut short/)
    expect(() => readAccessRequest(Buffer.concat([Buffer.of(2), cut.subarray(1)]))).to.throw(ProtocolError, /code 2/)
    expect(() => readAccessRequest(cut.subarray(0, 20))).to.throw(ProtocolError, /lacks User-Name/)
    expect(() => packetSize(Buffer.of(1, 1, 0, 19))).to.throw(ProtocolError, /19 bytes/)
    expect(() => packetSize(Buffer.of(1, 1, 0x10, 1))).to.throw(ProtocolError, /4097 bytes/)
    expect(packetSize(Buffer.of(1, 1, 0))).to.equal(undefined)
  })

  it('refuse every packet of random bytes without another error', () => {
    for (let times = 0; times < 2000; times += 1) {
      const packet = randomBytes(20 + (times % 60))
      packet[0] = 1
      try {
        readAccessRequest(packet)
      } catch (error) {
        expect(error).to.be.instanceOf(ProtocolError)
      }
    }
  })
})
