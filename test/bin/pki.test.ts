import { X509Certificate } from 'node:crypto'
import { mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import { EXIT_CODES } from '../../bin/exit-codes.ts'
import { loadSaeProfile } from '../../lib/config.ts'
import { MlDsaCertificate } from '../../lib/key/ml-dsa-certificate.ts'
import { certificateIdentity } from '../../lib/util/certificate-identity.ts'
import { createTempDir } from '../helpers/temp-dir.ts'
import { runQkd } from './run-qkd.ts'

const init = (dir: string, ...more: string[]) =>
  runQkd(['pki', 'init', '--dir', dir, '--site', 'site-a', '--kme', 'kme-a', ...more])

const certificate = async (path: string) => new X509Certificate(await readFile(path))

async function snapshot(dir: string): Promise<Record<string, string>> {
  const names = (await readdir(dir, { recursive: true, withFileTypes: true })).filter(entry => entry.isFile())
  const paths = names.map(entry => join(entry.parentPath, entry.name)).sort()
  return Object.fromEntries(await Promise.all(paths.map(async path => [path, await readFile(path, 'utf8')])))
}

describe('qkd pki init', function () {
  this.timeout(60_000)

  it('makes an authority and certificates, and profiles of the hosts; keys only their owner can read', async () => {
    await using dir = await createTempDir()
    const pki = join(dir.path, 'pki')
    const { exitCode, stdout, stderr } = await init(pki, '--sae', 'alice', '--sae', 'anna', '--host', 'kme.example')
    expect({ exitCode, stderr }).to.deep.equal({ exitCode: 0, stderr: '' })
    expect(stdout.split('\n').filter(line => line.startsWith('made '))).to.have.length(14)

    const ca = await certificate(join(pki, 'ca.crt'))
    const kme = await certificate(join(pki, 'site-a/kme.crt'))
    const alice = await certificate(join(pki, 'site-a/sae-alice.crt'))
    for (const issued of [kme, alice]) expect(issued.verify(ca.publicKey)).to.equal(true)
    expect(certificateIdentity(kme)).to.deep.include({ commonName: 'kme-a', uriSans: ['urn:qkdkit:kme:kme-a'] })
    expect(certificateIdentity(alice)).to.deep.include({ commonName: 'alice', uriSans: ['urn:qkdkit:sae:alice'] })
    for (const host of ['localhost', 'kme.example']) expect(kme.checkHost(host), host).to.equal(host)
    for (const address of ['127.0.0.1', '::1']) expect(kme.checkIP(address), address).to.equal(address)

    const [authority, site] = await Promise.all(
      ['ca-ml-dsa.crt', 'site-a/ml-dsa.crt'].map(async name => new MlDsaCertificate(await readFile(join(pki, name)))),
    )
    expect(site!.faultUnder(authority!, Date.now())).to.equal(undefined)
    expect(site!.uris).to.deep.equal(['urn:qkdkit:site:site-a'])

    const { profile, warnings } = await loadSaeProfile(join(pki, 'site-a/sae-anna.json'))
    expect(warnings).to.deep.equal([])
    expect(profile).to.include({ saeId: 'anna', kmeId: 'kme-a', kme: 'https://127.0.0.1:8014' })

    const names = Object.keys(await snapshot(pki))
    expect(names.filter(name => !/\.(crt|key|json)$/.test(name))).to.deep.equal([])
    for (const name of names.filter(name => name.endsWith('.key'))) {
      expect((await stat(name)).mode & 0o777, name).to.equal(0o600)
    }
  })

  it('adds to what is there and changes nothing of it, until it is forced; the authority stays', async () => {
    await using dir = await createTempDir()
    await init(dir.path, '--sae', 'alice')
    const before = await snapshot(dir.path)
    const { stdout } = await init(dir.path, '--sae', 'alice', '--sae', 'anna', '--url', 'https://other:1', '--json')
    const after = await snapshot(dir.path)
    expect(after).to.include(before)
    expect(Object.keys(after)).to.have.length(Object.keys(before).length + 3)
    const { files } = JSON.parse(stdout) as { files: { path: string; outcome: string }[] }
    expect(files.filter(({ outcome }) => outcome === 'made').map(({ path }) => path)).to.deep.equal(
      ['sae-anna.key', 'sae-anna.crt', 'sae-anna.json'].map(name => join(dir.path, 'site-a', name)),
    )
    const ca = await certificate(join(dir.path, 'ca.crt'))
    expect((await certificate(join(dir.path, 'site-a/sae-anna.crt'))).verify(ca.publicKey)).to.equal(true)

    await init(dir.path, '--sae', 'alice', '--url', 'https://other:1', '--force')
    const forced = await snapshot(dir.path)
    expect(Object.keys(forced)).to.deep.equal(Object.keys(after))
    const kept = Object.keys(forced).filter(path => forced[path] === after[path])
    const anna = ['crt', 'json', 'key'].map(ending => join(dir.path, `site-a/sae-anna.${ending}`))
    const authorities = ['ca-ml-dsa.crt', 'ca-ml-dsa.key', 'ca.crt', 'ca.key'].map(name => join(dir.path, name))
    expect(kept).to.deep.equal([...authorities, ...anna])
  })

  it('refuses half a pair, naming the missing file', async () => {
    await using dir = await createTempDir()
    await writeFile(join(dir.path, 'ca.crt'), '')
    const { exitCode, stderr } = await init(dir.path, '--sae', 'alice')
    expect(exitCode).to.equal(EXIT_CODES.config.code)
    expect(stderr).to.match(/^error: ERR_QKD_CONFIG: .*ca\.key is missing beside .*ca\.crt/)
  })

  it('says so in one line when the directory can not be written', async () => {
    await using dir = await createTempDir()
    await writeFile(join(dir.path, 'file'), '')
    const { exitCode, stderr } = await init(join(dir.path, 'file', 'pki'))
    expect(exitCode).to.equal(EXIT_CODES.system.code)
    expect(stderr).to.match(/^error: ENOTDIR: .*\n$/)
  })

  for (const [what, args, message] of [
    ['a site that is a path', ['--site', '../a', '--kme', 'k'], /--site must have 1 to 64 letters/],
    ['a URL without TLS', ['--site', 'a', '--kme', 'k', '--url', 'http://x'], /--url must begin with https/],
    ['a host that is none', ['--site', 'a', '--kme', 'k', '--host', 'a b'], /--host must be a DNS name or/],
    ['no site', ['--kme', 'k'], /Missing required argument: site/],
    ['two sites at once', ['--site', 'a', '--site', 'b', '--kme', 'k'], /--site is given 2 times/],
  ] as const) {
    it(`refuses ${what}, and makes nothing`, async () => {
      await using dir = await createTempDir()
      const pki = join(dir.path, 'pki')
      const { exitCode, stdout, stderr } = await runQkd(['pki', 'init', '--dir', pki, ...args])
      expect({ exitCode, stdout }).to.deep.equal({ exitCode: EXIT_CODES.usage.code, stdout: '' })
      expect(stderr).to.match(message)
      expect(stderr.trimEnd().split('\n')).to.have.length(1)
      await mkdir(pki) // throws if it is there
    })
  }
})
