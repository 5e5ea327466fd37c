import { expect } from 'chai'
import {
  createOtpVerifier,
  drawOneTimePassword,
  type OtpVerifier,
} from '../../../../integrations/kerberos/otp/one-time-password.ts'
import { createOtpServer, type OtpServer } from '../../../../integrations/kerberos/otp/otp-server.ts'
import { PoolExhaustedError } from '../../../../lib/index.ts'
import { type KmsPair, kmsBackends } from '../../../helpers/kms-backends.ts'
import {
  createOtpRealm,
  GUARDED_SERVICE,
  OTP_USER,
  type OtpRealm,
  requireKerberosOtp,
} from '../../../helpers/otp-realm.ts'
import { rejectsWith } from '../../../helpers/rejects-with.ts'

async function failureOf(promise: Promise<unknown>): Promise<string> {
  return promise.then(
    () => 'no failure',
    (error: Error) => error.message,
  )
}

for (const backend of kmsBackends) {
  describe(`login by one-time keys (${backend.name} KMS)`, function () {
    this.timeout(30_000)
    let pair: KmsPair
    let realm: OtpRealm
    let server: OtpServer
    let verify: OtpVerifier

    before(async function () {
      requireKerberosOtp(this)
      pair = await backend.create()
      realm = await createOtpRealm()
      verify = createOtpVerifier(pair.bob, { saeOf: principal => (principal === OTP_USER ? 'alice' : undefined) })
      server = createOtpServer({ socketPath: realm.socketPath, verify: (...args) => verify(...args) })
      await server.listen()
    })
    after(async () => {
      await server?.close()
      await realm?.[Symbol.asyncDispose]()
      await pair?.[Symbol.asyncDispose]()
    })

    const client = () => realm.realms.client()
    const draw = () => drawOneTimePassword(pair.alice, { peerSaeId: 'bob', principal: OTP_USER })

    it('lets its holder in once, with an indicator that services can ask for', async () => {
      const password = await draw()
      const bob = client()
      await bob.kinit('bob', password, '-T', realm.armor)
      expect(await bob.kvno(GUARDED_SERVICE)).to.be.at.least(1)
      expect(await failureOf(client().kinit('bob', password, '-T', realm.armor))).to.match(/Preauthentication failed/)
      expect(server.counters()).to.include({ accepted: 1, rejected: 1 })

      const alice = client()
      await alice.kinit('alice', 'alice-pw')
      expect(await failureOf(alice.kvno(GUARDED_SERVICE))).to.match(/policy rejects/i)
    })

    it('refuses a password for another user, a wrong proof, and anything else', async () => {
      const { rejected } = server.counters()
      const password = await draw()
      const wrong = `${password.slice(0, -2)}${password.at(-2) === 'A' ? 'B' : 'A'}${password.at(-1)}`
      const madeUp = `${password.slice(0, 36).replace(/[0-9a-f]/g, '1')}${password.slice(36)}`
      for (const bad of [wrong, madeUp, 'letmein', 'x'.repeat(120)]) {
        expect(await failureOf(client().kinit('bob', bad, '-T', realm.armor))).to.match(/Preauthentication failed/)
      }
      expect(server.counters().rejected).to.equal(rejected + 4)
      expect(await verify({ principal: 'eve@A.QKD', password: await draw() })).to.equal('unknown-user')
      expect(await verify({ principal: OTP_USER, password: wrong })).to.equal('unknown-or-used-key')
    })

    it('refuses a login without armor', async () => {
      const { accepted } = server.counters()
      expect(await failureOf(client().kinit('bob', await draw()))).to.not.equal('no failure')
      expect(server.counters().accepted).to.equal(accepted)
    })
  })
}

describe('OtpVerifier', () => {
  it('proves the same key for one principal alone', async () => {
    await using pair = await kmsBackends[0]!.create()
    const verify = createOtpVerifier(pair.bob, { saeOf: () => 'alice' })
    const draw = () => drawOneTimePassword(pair.alice, { peerSaeId: 'bob', principal: OTP_USER })
    expect(await verify({ principal: 'carol@A.QKD', password: await draw() })).to.equal('wrong-proof')
    expect(await verify({ principal: OTP_USER, password: await draw() })).to.equal('accepted')
    expect(await verify({ principal: OTP_USER, password: 'no password' })).to.equal('malformed')
    await rejectsWith(
      drawOneTimePassword(pair.alice, { peerSaeId: 'bob', principal: 'no principal' }),
      'ERR_QKD_INVALID_ARGUMENT',
    )
  })

  it('says nothing about a password while the KMS can’t be asked', async () => {
    await using pair = await kmsBackends[0]!.create()
    const password = await drawOneTimePassword(pair.alice, { peerSaeId: 'bob', principal: OTP_USER })
    const dry = { ...pair.bob, getKeyWithIds: () => Promise.reject(new PoolExhaustedError('dry')) } as typeof pair.bob
    await rejectsWith(
      createOtpVerifier(dry, { saeOf: () => 'alice' })({ principal: OTP_USER, password }),
      'ERR_QKD_POOL_EXHAUSTED',
    )
  })
})
