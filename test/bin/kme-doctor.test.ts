import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import { EXIT_CODES } from '../../bin/exit-codes.ts'
import type { KmeExamination } from '../../lib/client/doctor/examine-kme.ts'
import { createPkcs12 } from '../../lib/create-pkcs12.ts'
import { createForeignKmePair, type ForeignKmePair } from '../helpers/foreign-kme.ts'
import { createTempDir } from '../helpers/temp-dir.ts'
import { createTestAuthority } from '../helpers/test-certificates.ts'
import { runQkd } from './run-qkd.ts'

const passphrase = 'open sesame'

describe('qkd kme doctor', function () {
  this.timeout(60_000)
  const authority = createTestAuthority()
  let kmes: ForeignKmePair
  let dir: { path: string } & AsyncDisposable

  before(async () => {
    kmes = await createForeignKmePair([authority.issue('KME-A'), authority.issue('KME-B')], [['alice'], ['bob']])
    dir = await createTempDir()
    for (const name of ['alice', 'mallory']) {
      const { cert, key, ca } = authority.issue(name)
      await writeFile(join(dir.path, `${name}.crt`), cert)
      await writeFile(join(dir.path, `${name}.key`), key, { mode: 0o600 })
      const pair = { certificatePem: cert, privateKeyPem: key }
      const file = createPkcs12(pair, { passphrase, name, authorities: [ca] })
      await writeFile(join(dir.path, `${name}.p12`), file, { mode: 0o600 })
    }
    await writeFile(join(dir.path, 'ca.crt'), authority.ca)
    await writeFile(join(dir.path, 'pass'), `${passphrase}\n`, { mode: 0o600 })
  })
  after(async () => {
    await kmes[Symbol.asyncDispose]()
    await dir[Symbol.asyncDispose]()
  })

  const doctor = (...args: string[]) => runQkd(['kme', 'doctor', kmes.kmes[0].url, ...args], { cwd: dir.path })
  const pem = (name: string) => ['--cert', `${name}.crt`, '--key', `${name}.key`, '--ca', 'ca.crt']

  it('needs no more than URL, certificate, key and authority, and consumes nothing', async () => {
    const { exitCode, stdout } = await doctor(...pem('alice'))
    expect(exitCode).to.equal(0)
    expect(stdout).to.match(/^ok +connection: TLSv1\.3/)
    expect(stdout).to.include('DEVIATION methods').and.include('profile: etsi')
    expect(kmes.issuedCount).to.equal(0)
  })

  it('draws one key with consent, out of a .p12 with the authority in it, and tells programs', async () => {
    const { exitCode, stdout } = await doctor(
      '--p12',
      'alice.p12',
      '--passphrase-file',
      'pass',
      '--peer',
      'bob',
      '--take-key',
      '--json',
    )
    expect(exitCode).to.equal(0)
    const { findings, profile } = JSON.parse(stdout) as KmeExamination
    expect(profile).to.equal('etsi')
    expect(findings.find(({ check }) => check === 'key')).to.include({ state: 'ok' })
    expect(kmes.issuedCount).to.equal(1)
  })

  it('ends as a call would that meets the same', async () => {
    const stranger = await doctor(...pem('mallory'), '--peer', 'bob')
    expect(stranger.exitCode).to.equal(EXIT_CODES.unauthorized.code)
    expect(stranger.stdout).to.include('FAULT')
    const gone = await runQkd(['kme', 'doctor', 'https://127.0.0.1:1', ...pem('alice')], { cwd: dir.path })
    expect(gone.exitCode).to.equal(EXIT_CODES.unreachable.code)
  })

  it('refuses to draw a key for nobody', async () => {
    const { exitCode, stderr } = await doctor(...pem('alice'), '--take-key')
    expect(exitCode).to.equal(EXIT_CODES.usage.code)
    expect(stderr).to.include('--peer')
  })
})
