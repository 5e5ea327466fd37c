import { execFileSync } from 'node:child_process'
import { X509Certificate } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'chai'
import { createRemoteKms } from '../lib/client/remote-kms.ts'
import { loadSaeProfile, readKmeTlsFiles } from '../lib/config.ts'
import { openPkcs12 } from '../lib/pkcs12.ts'
import { species } from './helpers/kme-zoo/species.ts'
import { createZooKme } from './helpers/kme-zoo/zoo-kme.ts'
import { rejectsWith } from './helpers/rejects-with.ts'
import { createTempDir } from './helpers/temp-dir.ts'
import { createTestAuthority } from './helpers/test-certificates.ts'

const PASSPHRASE = 'more than nothing'
const authority = createTestAuthority()
const host = authority.issue('alice')

/** Ways in which programs of two decades write such a file. */
const FORMS: Readonly<Record<string, readonly string[]>> = {
  'AES-256 as OpenSSL 3 writes it': [],
  'AES-128': ['-keypbe', 'AES-128-CBC', '-certpbe', 'AES-128-CBC'],
  'triple DES': ['-keypbe', 'PBE-SHA1-3DES', '-certpbe', 'PBE-SHA1-3DES', '-macalg', 'sha1'],
  'RC2 of 40 bits and triple DES, as Windows wrote it': ['-legacy', '-macalg', 'sha1'],
  'RC2 of 40 bits for the key too': ['-legacy', '-keypbe', 'PBE-SHA1-RC2-40', '-certpbe', 'PBE-SHA1-RC2-40'],
  'no encryption at all': ['-keypbe', 'NONE', '-certpbe', 'NONE'],
}

describe('openPkcs12', () => {
  let dir: Awaited<ReturnType<typeof createTempDir>>
  const at = (name: string) => join(dir.path, name)
  const openssl = (...args: string[]) =>
    execFileSync('openssl', args, { cwd: dir.path, stdio: ['ignore', 'pipe', 'pipe'] })
  const seal = (name: string, passphrase: string, args: readonly string[] = ['-certfile', 'ca.pem']) => {
    openssl(
      'pkcs12',
      '-export',
      '-in',
      'host.pem',
      '-inkey',
      'host-key.pem',
      '-passout',
      `pass:${passphrase}`,
      '-out',
      name,
      ...args,
    )
    return readFileSync(at(name))
  }

  before(async () => {
    dir = await createTempDir()
    for (const [name, pem] of Object.entries({ 'host.pem': host.cert, 'host-key.pem': host.key, 'ca.pem': host.ca })) {
      writeFileSync(at(name), pem, { mode: 0o600 })
    }
    writeFileSync(at('passphrase'), `${PASSPHRASE}\n`, { mode: 0o600 })
  })
  after(() => dir[Symbol.asyncDispose]())

  for (const [name, args] of Object.entries(FORMS)) {
    it(`reads ${name}`, () => {
      const file = seal('form.p12', PASSPHRASE, ['-certfile', 'ca.pem', ...args])
      const opened = openPkcs12(file, PASSPHRASE)
      expect(opened.certificatePem).to.equal(host.cert + host.ca)
      expect(opened.authoritiesPem).to.equal(host.ca)
      expect(opened.privateKeyPem).to.equal(host.key)
    })
  }

  it('reads RSA keys, and files without a passphrase or an authority', () => {
    openssl(
      'req',
      '-x509',
      '-newkey',
      'rsa:2048',
      '-nodes',
      '-keyout',
      'rsa-key.pem',
      '-out',
      'rsa.pem',
      '-days',
      '2',
      '-subj',
      '/CN=rsa',
    )
    openssl('pkcs12', '-export', '-in', 'rsa.pem', '-inkey', 'rsa-key.pem', '-passout', 'pass:', '-out', 'rsa.p12')
    const opened = openPkcs12(readFileSync(at('rsa.p12')))
    expect(opened.certificatePem).to.equal(readFileSync(at('rsa.pem'), 'utf8'))
    expect(opened.authoritiesPem).to.equal('')
  })

  it('takes letters beyond ASCII in a passphrase with triple DES, and says that it does not with AES', () => {
    const umlauts = 'größer als nichts'
    expect(openPkcs12(seal('old.p12', umlauts, FORMS['triple DES']), umlauts).privateKeyPem).to.equal(host.key)
    expect(() => openPkcs12(seal('new.p12', umlauts), umlauts)).to.throw(/beyond ASCII/)
  })

  it('refuses another passphrase, another file, one without key and one that is cut short, by name', () => {
    const file = seal('whole.p12', PASSPHRASE)
    openssl('pkcs12', '-export', '-nokeys', '-in', 'host.pem', '-passout', 'pass:', '-out', 'no-key.p12')
    const cases = [
      [() => openPkcs12(file, 'wrong'), /passphrase does not open/],
      [() => openPkcs12(file), /passphrase does not open/],
      [() => openPkcs12(Buffer.from('-----BEGIN CERTIFICATE-----')), /no PKCS #12 file/],
      [() => openPkcs12(file.subarray(0, 400), PASSPHRASE), /PKCS #12 file/],
      [() => openPkcs12(readFileSync(at('no-key.p12'))), /0 private keys/],
      [() => openPkcs12(Buffer.alloc(2 * 1024 * 1024)), /larger than/],
    ] as const
    for (const [open, words] of cases) expect(open).to.throw(words).with.property('code', 'ERR_QKD_INVALID_ARGUMENT')
  })

  it('lets a host in at a KME, by an old file and by a profile that names it', async () => {
    await using kme = await createZooKme(species.etsi.behaviour, { credentials: authority.issue('kme') })
    const pfx = seal('old.p12', PASSPHRASE, ['-certfile', 'ca.pem', '-legacy'])
    await using direct = createRemoteKms({ baseUrl: kme.url, saeId: 'alice', pfx, passphrase: PASSPHRASE, ca: host.ca })
    expect(await direct.getKey('bob')).to.have.length(1)
    const tls = { pfx: 'old.p12', passphraseFile: 'passphrase' }
    writeFileSync(at('old.p12'), pfx, { mode: 0o600 })
    writeFileSync(
      at('sae.json'),
      JSON.stringify({ saeId: 'alice', kme: kme.url, profile: 'merqury', method: 'POST', tls }),
    )
    const { profile, warnings } = await loadSaeProfile(at('sae.json'))
    expect(warnings.filter(warning => !warning.includes('expires on'))).to.deep.equal([])
    expect(profile).to.deep.include({ profile: 'merqury', method: 'POST' })
    expect(new X509Certificate(profile.tls.cert).subject).to.equal('CN=alice')
    expect(profile.tls.ca).to.equal(host.ca)
  })

  it('says in a profile which file does not fit, and what to do', async () => {
    seal('alone.p12', PASSPHRASE, [])
    seal('sealed.p12', PASSPHRASE)
    const cases: [tls: object, path: string, words: RegExp][] = [
      [{ pfx: 'alone.p12', passphraseFile: 'passphrase' }, '/tls', /no authority in it/],
      [{ pfx: 'sealed.p12' }, '/tls/pfx', /passphrase does not open/],
      [{ pfx: 'gone.p12' }, '/tls/pfx', /no such file/],
      [{ pfx: 'ca.pem' }, '/tls/pfx', /no PKCS #12 file/],
      [{ pfx: 'sealed.p12', cert: 'host.pem' }, '/tls', /in place of cert and key/],
      [{ cert: 'host.pem' }, '/tls', /field "key" and field "ca" missing/],
      [{ pfx: 'sealed.p12', passphraseFile: 'gone' }, '/tls/passphraseFile', /no such file/],
    ]
    for (const [tls, path, words] of cases) {
      writeFileSync(at('bad.json'), JSON.stringify({ saeId: 'alice', kme: 'https://kme', tls }))
      const error = await rejectsWith(loadSaeProfile(at('bad.json')), 'ERR_QKD_CONFIG')
      expect(error.details.map(detail => detail.path)).to.deep.equal([path])
      expect(error.message).to.match(words)
    }
  })

  it('opens a PEM key by its passphrase', async () => {
    openssl('pkcs8', '-topk8', '-in', 'host-key.pem', '-passout', `pass:${PASSPHRASE}`, '-out', 'sealed-key.pem')
    const files = { cert: at('host.pem'), key: at('sealed-key.pem'), ca: at('ca.pem') }
    const { tls } = await readKmeTlsFiles({ ...files, passphraseFile: at('passphrase') })
    expect(tls.key).to.equal(host.key)
    const error = await rejectsWith(readKmeTlsFiles(files, { nameOf: field => `--${field}` }), 'ERR_QKD_CONFIG')
    expect(error.message).to.match(/^--key: /)
  })
})
