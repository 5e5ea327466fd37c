import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import { stringToKey } from '../../../integrations/kerberos/crypto/encryption.ts'
import { KdcDatabase } from '../../../integrations/kerberos/kdb/kdc-database.ts'
import { lockFileOf } from '../../../integrations/kerberos/kdb/lock-file.ts'
import { type KeytabEntry, readKeytab, writeKeytab } from '../../../integrations/kerberos/keytab.ts'
import { SecretKey } from '../../../lib/key/secret-key.ts'
import { createTestRealms, requireKerberos, runProgram, type TestRealms } from '../../helpers/kdc-realm.ts'
import { peerProgram } from '../../helpers/peer-program.ts'
import { rejectsWith } from '../../helpers/rejects-with.ts'

const SERVICE = 'HTTP/host.test@A.QKD'

describe('KdcDatabase', function () {
  this.timeout(30_000)
  let realms: TestRealms
  let database: KdcDatabase
  const faults: string[] = []

  before(async function () {
    requireKerberos(this)
    realms = await createTestRealms({ names: ['A.QKD'] })
    const { database: path, stash, env } = realms.realms[0]!
    const environment = { KRB5_CONFIG: env.KRB5_CONFIG!, KRB5_KDC_PROFILE: env.KRB5_KDC_PROFILE! }
    database = new KdcDatabase({
      realm: 'A.QKD',
      database: path,
      stashFile: stash,
      environment,
      onFault: ({ description }) => faults.push(description),
    })
    await realms.realms[0]!.kadmin(`addprinc -nokey ${SERVICE}`)
  })
  after(() => realms?.[Symbol.asyncDispose]())

  const put = (kvno: number, secret = SecretKey.random(32)) =>
    database.setVersions(SERVICE, present => ({ put: [{ kvno, keys: [{ enctype: 20, secret }] }], keep: present }))

  it('puts a raw key before the running KDC at the kvno that was asked for, and keeps the old ones', async () => {
    await put(4241)
    const { kvnos } = await put(4242)
    expect(kvnos).to.deep.equal([4242, 4241])
    const client = realms.client()
    await client.kinit('alice', 'alice-pw')
    expect(await client.kvno(SERVICE)).to.equal(4242)
  })

  it('reads the keys that kadmin makes of a password, and makes the same ones', async () => {
    await realms.realms[0]!.kadmin('addprinc -pw some-pw krbtgt/C.QKD@A.QKD')
    const [version] = await database.keys('krbtgt/C.QKD@A.QKD')
    expect(version!.keys.map(({ enctype }) => enctype)).to.deep.equal([20, 18])
    for (const { enctype, secret } of version!.keys) {
      const ours = stringToKey(enctype, 'some-pw', { salt: 'A.QKDkrbtgtC.QKD' })
      expect(ours.secret.equals(secret), String(enctype)).to.equal(true)
    }
  })

  it('writes a keytab like that of kadmin ktadd byte for byte, which klist and kvno accept', async () => {
    const [realm] = realms.realms
    const path = join(realms.directory, 'theirs.keytab')
    await realm!.kadmin(`ktadd -norandkey -k ${path} ${SERVICE} krbtgt/A.QKD`)
    const theirs = await readFile(path)
    const entries = readKeytab(theirs)
    // Their keys from the database by our own way, in their order, with only the time taken over.
    const ours: KeytabEntry[] = []
    for (const principal of [SERVICE, 'krbtgt/A.QKD@A.QKD']) {
      for (const { kvno, keys } of await database.keys(principal)) {
        for (const { enctype, secret } of keys) {
          const timestamp = entries.find(e => e.principal === principal && e.kvno === kvno)!.timestamp
          ours.push({ principal, timestamp, kvno, enctype, secret })
        }
      }
    }
    const written = writeKeytab(ours)
    expect(written.equals(theirs)).to.equal(true)

    const keytab = join(realms.directory, 'ours.keytab')
    await writeFile(keytab, written, { mode: 0o600 })
    const client = realms.client()
    const { stdout } = await runProgram('klist', ['-kte', keytab], { env: client.env })
    expect(stdout).to.match(/4242 .*HTTP\/host.test@A.QKD \(aes256-cts-hmac-sha384-192\)/)
    await client.kinit('alice', 'alice-pw')
    expect(await client.kvno(SERVICE, '-k', keytab)).to.equal(4242)
  })

  it('lets no key into arguments, environment or input of any program, nor into a file', async () => {
    const { directory, database: path, stash, env } = realms.realms[0]!
    const bin = join(realms.directory, 'bin')
    const seen = join(realms.directory, 'seen')
    await mkdir(bin)
    const spy = `#!/bin/sh
{ cat /proc/$$/cmdline /proc/$$/environ /proc/$PPID/cmdline; echo; } >> ${seen}
case "$*" in *load*) tee -a ${seen} | /usr/sbin/kdb5_util "$@" ;; *) exec /usr/sbin/kdb5_util "$@" ;; esac
`
    await writeFile(join(bin, 'kdb5_util'), spy, { mode: 0o755 })
    const environment = {
      KRB5_CONFIG: env.KRB5_CONFIG!,
      KRB5_KDC_PROFILE: env.KRB5_KDC_PROFILE!,
      PATH: `${bin}:${env.PATH}`,
    }
    const watched = new KdcDatabase({ realm: 'A.QKD', database: path, stashFile: stash, environment })
    const bytes = randomBytes(32)
    const secret = SecretKey.copyOf(bytes)
    await watched.setVersions(SERVICE, () => ({ put: [{ kvno: 4243, keys: [{ enctype: 20, secret }] }], keep: [4242] }))
    const files = [seen, ...(await readdir(directory)).map(name => join(directory, name))]
    const contents = await Promise.all(files.map(file => readFile(file)))
    expect(contents[0]!.toString('latin1')).to.contain('load\0-update').and.to.contain('princ\t38')
    for (const spelled of [bytes, ...(['hex', 'base64', 'base64url'] as const).map(e => bytes.toString(e))]) {
      for (const [i, content] of contents.entries()) expect(content.includes(spelled), files[i]).to.equal(false)
    }
    expect((await database.keys(SERVICE))[0]!.keys[0]!.secret.equals(secret)).to.equal(true)
  })

  it('refuses a principal that is not there, and a kvno that the database can not hold', async () => {
    await rejectsWith(
      database.setVersions('HTTP/none@A.QKD', () => ({ put: [], keep: [] })),
      'ERR_QKD_INVALID_ARGUMENT',
    )
    await rejectsWith(put(65_536), 'ERR_QKD_PROTOCOL')
    expect((await database.state(SERVICE))!.kvnos[0]).to.equal(4243)
  })

  it('names stash and database where they are wrong', async () => {
    const { database: path, stash } = realms.realms[0]!
    const wrong = (options: object) => new KdcDatabase({ realm: 'A.QKD', database: path, stashFile: stash, ...options })
    expect((await rejectsWith(wrong({ stashFile: '/nowhere' }).keys(SERVICE), 'ERR_QKD_CONFIG')).message).to.contain(
      'stashFile',
    )
    expect((await rejectsWith(wrong({ database: '/nowhere' }).state(SERVICE), 'ERR_QKD_CONFIG')).message).to.contain(
      'database',
    )
  })

  it('waits its turn for our own lock, and says who is to blame when that is not free', async function () {
    peerProgram(this, 'flock', 'util-linux')
    const { database: path, stash, env } = realms.realms[0]!
    const environment = { KRB5_CONFIG: env.KRB5_CONFIG!, KRB5_KDC_PROFILE: env.KRB5_KDC_PROFILE! }
    const hasty = new KdcDatabase({ realm: 'A.QKD', database: path, stashFile: stash, environment, timeoutMs: 100 })
    const both = await Promise.all([put(4244), put(4245), put(4246)])
    expect(both.map(({ kvnos }) => kvnos[0])).to.include(4246)
    const holder = spawn('flock', [`${path}.qkd.lock`, 'cat'], { stdio: ['pipe', 'pipe', 'ignore'] })
    holder.stdin.write('held\n')
    try {
      await once(holder.stdout, 'data')
      const { message } = await rejectsWith(hasty.state(SERVICE), 'ERR_QKD_STORE')
      expect(message).to.contain('.qkd.lock')
    } finally {
      holder.stdin.end()
    }
  })

  it('mends a missing lock file before it loads, and reports it', async () => {
    const { database: path } = realms.realms[0]!
    await rm(lockFileOf(path))
    faults.length = 0
    await put(4250)
    expect(faults.join()).to.contain('principal.kadm5.lock was missing')
  })
})
