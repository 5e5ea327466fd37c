import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'chai'
import {
  createOtpVerifier,
  drawOneTimePassword,
  type OtpVerifier,
} from '../../../../integrations/kerberos/otp/one-time-password.ts'
import { createOtpServer, type OtpServer } from '../../../../integrations/kerberos/otp/otp-server.ts'
import { PoolExhaustedError } from '../../../../lib/index.ts'
import { createTestRealms, requireKerberos, type TestRealms } from '../../../helpers/kdc-realm.ts'
import { type KmsPair, kmsBackends } from '../../../helpers/kms-backends.ts'
import { findProgram, peerProgram } from '../../../helpers/peer-program.ts'
import { rejectsWith } from '../../../helpers/rejects-with.ts'

const USER = 'bob@A.QKD'
const GUARDED = 'HTTP/host-a.test@A.QKD'

/** krb5-otp is a library: its folder stands in for a program. */
function requireOtpModule(test: { skip(): never }): void {
  const isThere = ['x86_64', 'aarch64'].some(machine =>
    existsSync(`/usr/lib/${machine}-linux-gnu/krb5/plugins/preauth/otp.so`),
  )
  if (!isThere || findProgram('krb5kdc') === undefined) peerProgram(test, 'otp.so', 'krb5-otp')
}

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
    let realms: TestRealms
    let server: OtpServer
    let armor: string
    let verify: OtpVerifier

    before(async function () {
      requireKerberos(this)
      requireOtpModule(this)
      pair = await backend.create()
      realms = await createTestRealms({
        names: ['A.QKD'],
        sections: ({ directory }) => `[otp]
 qkd = {
  server = ${join(directory, 'radius.sock')}
  timeout = 5
  retries = 1
  strip_realm = false
  indicator = qkd
 }
`,
      })
      const [realm] = realms.realms
      verify = createOtpVerifier(pair.bob, { saeOf: principal => (principal === USER ? 'alice' : undefined) })
      server = createOtpServer({
        socketPath: join(realm!.directory, 'radius.sock'),
        verify: (...args) => verify(...args),
      })
      await server.listen()
      await realm!.kadmin('addprinc -nokey +requires_preauth bob')
      await realm!.kadmin('setstr bob otp "[{""type"":""qkd""}]"')
      await realm!.kadmin(`addprinc -randkey ${GUARDED}`)
      await realm!.kadmin(`setstr ${GUARDED} require_auth qkd`)
      const keytab = join(realm!.directory, 'ws.keytab')
      await realm!.kadmin('addprinc -randkey host/ws.test')
      await realm!.kadmin(`ktadd -k ${keytab} host/ws.test`)
      const workstation = realms.client('armor')
      armor = workstation.ccache
      await workstation.kinit('host/ws.test', '', '-k', '-t', keytab)
    })
    after(async () => {
      await server?.close()
      await realms?.[Symbol.asyncDispose]()
      await pair?.[Symbol.asyncDispose]()
    })

    const draw = () => drawOneTimePassword(pair.alice, { peerSaeId: 'bob', principal: USER })

    it('lets its holder in once, with an indicator that services can ask for', async () => {
      const password = await draw()
      const bob = realms.client()
      await bob.kinit('bob', password, '-T', armor)
      expect(await bob.kvno(GUARDED)).to.be.at.least(1)
      expect(await failureOf(realms.client().kinit('bob', password, '-T', armor))).to.match(/Preauthentication failed/)
      expect(server.counters()).to.include({ accepted: 1, rejected: 1 })

      const alice = realms.client()
      await alice.kinit('alice', 'alice-pw')
      expect(await failureOf(alice.kvno(GUARDED))).to.match(/policy rejects/i)
    })

    it('refuses a password for another user, a wrong proof, and anything else', async () => {
      const { rejected } = server.counters()
      const password = await draw()
      const wrong = `${password.slice(0, -2)}${password.at(-2) === 'A' ? 'B' : 'A'}${password.at(-1)}`
      const madeUp = `${password.slice(0, 36).replace(/[0-9a-f]/g, '1')}${password.slice(36)}`
      for (const bad of [wrong, madeUp, 'letmein', 'x'.repeat(120)]) {
        expect(await failureOf(realms.client().kinit('bob', bad, '-T', armor))).to.match(/Preauthentication failed/)
      }
      expect(server.counters().rejected).to.equal(rejected + 4)
      expect(await verify({ principal: 'eve@A.QKD', password: await draw() })).to.equal('unknown-user')
      expect(await verify({ principal: USER, password: wrong })).to.equal('unknown-or-used-key')
    })

    it('refuses a login without armor', async () => {
      const { accepted } = server.counters()
      expect(await failureOf(realms.client().kinit('bob', await draw()))).to.not.equal('no failure')
      expect(server.counters().accepted).to.equal(accepted)
    })
  })
}

describe('OtpVerifier', () => {
  it('proves the same key for one principal alone', async () => {
    await using pair = await kmsBackends[0]!.create()
    const verify = createOtpVerifier(pair.bob, { saeOf: () => 'alice' })
    const draw = () => drawOneTimePassword(pair.alice, { peerSaeId: 'bob', principal: USER })
    expect(await verify({ principal: 'carol@A.QKD', password: await draw() })).to.equal('wrong-proof')
    expect(await verify({ principal: USER, password: await draw() })).to.equal('accepted')
    expect(await verify({ principal: USER, password: 'no password' })).to.equal('malformed')
    await rejectsWith(
      drawOneTimePassword(pair.alice, { peerSaeId: 'bob', principal: 'no principal' }),
      'ERR_QKD_INVALID_ARGUMENT',
    )
  })

  it('says nothing about a password while the KMS can’t be asked', async () => {
    await using pair = await kmsBackends[0]!.create()
    const password = await drawOneTimePassword(pair.alice, { peerSaeId: 'bob', principal: USER })
    const dry = { ...pair.bob, getKeyWithIds: () => Promise.reject(new PoolExhaustedError('dry')) } as typeof pair.bob
    await rejectsWith(
      createOtpVerifier(dry, { saeOf: () => 'alice' })({ principal: USER, password }),
      'ERR_QKD_POOL_EXHAUSTED',
    )
  })
})
