import { readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import { EXIT_CODES } from '../../bin/exit-codes.ts'
import { loadSaeProfile } from '../../lib/config.ts'
import { openPkcs12 } from '../../lib/pkcs12.ts'
import { createTempDir } from '../helpers/temp-dir.ts'
import { runQkd } from './run-qkd.ts'

describe('qkd sae add', function () {
  this.timeout(60_000)
  let dir: { path: string } & AsyncDisposable
  let pki: string

  before(async () => {
    dir = await createTempDir()
    pki = join(dir.path, 'pki')
    await runQkd(['pki', 'init', '--dir', pki, '--site', 'site-a', '--kme', 'kme-a'])
  })
  after(() => dir[Symbol.asyncDispose]())

  const add = (...more: string[]) => runQkd(['sae', 'add', ...more, '--dir', pki])
  const made = (name: string) => join(pki, 'site-a', name)

  it('makes certificate, profile, and a .p12 that opens with the password beside it', async () => {
    const { exitCode, stdout, stderr } = await add('carol', '--url', 'https://kme.example:8014')
    expect({ exitCode, stderr }).to.deep.equal({ exitCode: 0, stderr: '' })
    expect(stdout).to.include('{ "saeId": "carol" }')
    const { profile } = await loadSaeProfile(made('sae-carol.json'))
    expect(profile).to.deep.include({ saeId: 'carol', kme: 'https://kme.example:8014', kmeId: 'kme-a' })
    const password = (await readFile(made('sae-carol.p12.password'), 'utf8')).trim()
    const opened = openPkcs12(await readFile(made('sae-carol.p12')), password)
    expect(opened.privateKeyPem).to.equal(profile.tls.key)
    expect(opened.authoritiesPem).to.equal(profile.tls.ca)
    for (const secret of ['sae-carol.key', 'sae-carol.p12', 'sae-carol.p12.password']) {
      expect((await stat(made(secret))).mode & 0o777, secret).to.equal(0o600)
    }
    expect(stdout).not.to.include(password)
  })

  it('keeps what is there, and replaces it where it must, with the KME left alone', async () => {
    await add('dora')
    const before = await readFile(made('sae-dora.crt'), 'utf8')
    const kme = await readFile(made('kme.crt'), 'utf8')
    const again = JSON.parse((await add('dora', '--json')).stdout)
    expect(again).to.deep.include({ saeId: 'dora', siteId: 'site-a' })
    expect(again.files.map(({ outcome }: { outcome: string }) => outcome)).to.deep.equal(Array(5).fill('kept'))
    expect(await readFile(made('sae-dora.crt'), 'utf8')).to.equal(before)
    await add('dora', '--force')
    expect(await readFile(made('sae-dora.crt'), 'utf8')).not.to.equal(before)
    expect(await readFile(made('kme.crt'), 'utf8')).to.equal(kme)
    const password = (await readFile(made('sae-dora.p12.password'), 'utf8')).trim()
    const opened = openPkcs12(await readFile(made('sae-dora.p12')), password)
    expect(opened.certificatePem).to.include(await readFile(made('sae-dora.crt'), 'utf8'))
  })

  it('writes a snippet for each make, without a secret in it', async () => {
    const options = [
      '--url',
      'https://10.0.0.1:8014',
      '--peer',
      'fgt-b',
      '--peer-address',
      '192.0.2.2',
      '--skip',
      '10.0.0.1:8016',
    ]
    expect((await add('fgt-a', ...options)).exitCode).to.equal(0)
    const fortigate = await readFile(made('sae-fgt-a.fortigate.txt'), 'utf8')
    expect(fortigate).to.include('set server "10.0.0.1"').and.include('set port 8014').and.include('set id "fgt-a"')
    expect(fortigate).to.include('set cn "kme-a"').and.include('set qkd require')
    const mikrotik = await readFile(made('sae-fgt-a.mikrotik.rsc'), 'utf8')
    expect(mikrotik).to.include('address=10.0.0.1:8014').and.include('peer-sae-id=fgt-b').and.include('kme-id=kme-a')
    const cisco = await readFile(made('sae-fgt-a.cisco.txt'), 'utf8')
    const psk = (await readFile(made('sae-fgt-a.psk'), 'utf8')).trim()
    expect(psk).to.match(/^[0-9a-f]{64}$/)
    expect(cisco).to.include('server ipv4 10.0.0.1 port 8016').and.include('psk id fgt-a key hex PSK-HEX')
    expect(cisco).to.include('address 192.0.2.2 255.255.255.255').and.not.include(psk)
  })

  it('writes the snippets that are asked for alone', async () => {
    const { stdout } = await add('gw-a', '--peer', 'gw-b', '--for', 'swanctl')
    expect(stdout).to.include('sae-gw-a.swanctl.conf').and.not.include('cisco').and.not.include('.psk')
  })

  it('keeps a snippet that somebody has worked on, unless forced', async () => {
    const args = ['gw-c', '--peer', 'gw-d', '--for', 'swanctl']
    await add(...args)
    await writeFile(made('sae-gw-c.swanctl.conf'), '# mine\n')
    expect((await add(...args)).stdout).to.match(/kept +\S+sae-gw-c\.swanctl\.conf/)
    expect(await readFile(made('sae-gw-c.swanctl.conf'), 'utf8')).to.equal('# mine\n')
    expect((await add(...args, '--force')).stdout).to.match(/replaced +\S+sae-gw-c\.swanctl\.conf/)
    expect(await readFile(made('sae-gw-c.swanctl.conf'), 'utf8')).to.include('gw-d')
  })

  for (const [what, exit, args] of [
    ['the name of a KME', 'config', ['kme-a']],
    ['a name that is no file name', 'usage', ['../x']],
    ['an address with more in it', 'usage', ['x', '--peer', 'y', '--peer-address', '1.2.3.4\nset password x']],
    ['a peer with more in its name', 'usage', ['x', '--peer', 'y"\nend']],
    ['a site that is not there', 'config', ['x', '--site', 'site-z']],
  ] as const) {
    it(`refuses ${what}`, async () => {
      expect((await add(...args)).exitCode).to.equal(EXIT_CODES[exit].code)
    })
  }

  it('asks for the site where there is none to guess', async () => {
    const { exitCode, stderr } = await runQkd(['sae', 'add', 'x', '--dir', join(dir.path, 'nowhere')])
    expect(exitCode).to.equal(EXIT_CODES.usage.code)
    expect(stderr).to.include('qkd pki init')
  })
})
