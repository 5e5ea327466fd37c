import { execFileSync } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createSecureContext } from 'node:tls'
import { expect } from 'chai'
import { createPkcs12 } from '../lib/create-pkcs12.ts'
import { openPkcs12 } from '../lib/pkcs12.ts'
import { createCertificateAuthority, issueCertificate } from '../lib/pki.ts'
import { peerProgram } from './helpers/peer-program.ts'
import { createTempDir } from './helpers/temp-dir.ts'

const authority = createCertificateAuthority({ commonName: 'Test CA', days: 2 })
const pair = issueCertificate(authority, { commonName: 'alice', usage: 'client', days: 1 })
const passphrase = 'correct horse'
const make = () => createPkcs12(pair, { passphrase, name: 'alice', authorities: [authority.certificatePem] })

describe('createPkcs12', () => {
  it('is opened by node:tls with the right passphrase alone', () => {
    const pfx = make()
    createSecureContext({ pfx, passphrase })
    expect(() => createSecureContext({ pfx, passphrase: 'wrong' })).to.throw()
  })

  it('is opened by our own reader, with the authority in it', () => {
    const contents = openPkcs12(make(), passphrase)
    expect(contents.privateKeyPem).to.equal(pair.privateKeyPem)
    expect(contents.certificatePem).to.equal(pair.certificatePem + authority.certificatePem)
    expect(contents.authoritiesPem).to.equal(authority.certificatePem)
  })

  it('is opened by openssl, whole and under strong ciphers', async function () {
    const openssl = peerProgram(this, 'openssl', 'openssl')
    await using dir = await createTempDir()
    const [file, password] = [join(dir.path, 'alice.p12'), join(dir.path, 'password')]
    await writeFile(file, make())
    await writeFile(password, passphrase, { mode: 0o600 })
    const args = ['pkcs12', '-in', file, '-passin', `file:${password}`]
    const info = execFileSync(openssl, [...args, '-info', '-nodes'], { stdio: 'pipe', encoding: 'utf8' })
    expect(info.match(/BEGIN CERTIFICATE/g)).to.have.length(2)
    expect(info).to.include('BEGIN PRIVATE KEY').and.include('friendlyName: alice')
  })

  it('refuses a key that is not the certificate’s, and an empty passphrase', () => {
    const other = issueCertificate(authority, { commonName: 'bob', usage: 'client', days: 1 })
    const mixed = { ...pair, privateKeyPem: other.privateKeyPem }
    expect(() => createPkcs12(mixed, { passphrase, name: 'x' })).to.throw(/not the certificate's/)
    expect(() => createPkcs12(pair, { passphrase: '', name: 'x' })).to.throw(/passphrase/)
  })
})
