import { expect } from 'chai'
import { kmsBackends } from '../helpers/kms-backends.ts'
import { createOtpRealm, GUARDED_SERVICE, OTP_USER, requireKerberosOtp } from '../helpers/otp-realm.ts'
import { firstLine, runQkd, startQkd } from './run-qkd.ts'
import { stop } from './served-sites.ts'

describe('qkd kerberos otp', function () {
  this.timeout(60_000)
  before(function () {
    requireKerberosOtp(this)
  })

  it('prints a password that lets its user in, once', async () => {
    await using kms = await kmsBackends.find(({ name }) => name === 'remote')!.create()
    await using realm = await createOtpRealm()
    const options = ['--socket', realm.socketPath, '--user', `${OTP_USER}=alice`, '--config', kms.profiles!.bob]
    const server = startQkd(['kerberos', 'otp', 'serve', ...options, '--json'])
    try {
      expect(JSON.parse(await firstLine(server))).to.include({ ready: true, users: 1 })
      const draw = ['kerberos', 'otp', 'draw', OTP_USER, '--peer', 'bob', '--config', kms.profiles!.alice]
      const { stdout, stderr, exitCode } = await runQkd(draw)
      expect(exitCode, stderr).to.equal(0)
      expect(stdout).to.match(/^[0-9a-f-]{36}\.[A-Za-z0-9_-]{43}\n$/)
      const bob = realm.realms.client()
      await bob.kinit('bob', stdout.trim(), '-T', realm.armor)
      expect(await bob.kvno(GUARDED_SERVICE)).to.be.at.least(1)
      const again = realm.realms.client().kinit('bob', stdout.trim(), '-T', realm.armor)
      expect(await again.catch((error: Error) => error.message)).to.match(/Preauthentication failed/)
    } finally {
      await stop(server)
    }
  })

  it('names what is wrong with a user', async () => {
    const { stderr, exitCode } = await runQkd(['kerberos', 'otp', 'serve', '--user', 'bob', '--config', 'x.json'])
    expect(stderr).to.match(/--user bob: give PRINCIPAL=SAE/)
    expect(exitCode).to.equal(2)
  })
})
