import { readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import { checkConfigFile } from '../../lib/config-check.ts'
import { createCertificateAuthority, issueCertificate } from '../../lib/pki.ts'
import { createTempDir } from '../helpers/temp-dir.ts'
import { runQkd } from './run-qkd.ts'

/** Certificate, key and authority of a KME, good for a year. */
function issued(commonName: string) {
  const authority = createCertificateAuthority({ commonName: 'Test CA', days: 365 })
  const { certificatePem: cert, privateKeyPem: key } = issueCertificate(authority, {
    commonName,
    usage: 'both',
    days: 365,
  })
  return { cert, key, ca: authority.certificatePem }
}

/** What `make` makes two years before now. */
function longAgo<T>(make: () => T): T {
  const now = Date.now
  Date.now = () => now() - 2 * 365 * 86_400_000
  try {
    return make()
  } finally {
    Date.now = now
  }
}

describe('config check', () => {
  let dir: Awaited<ReturnType<typeof createTempDir>>
  let path: string

  /** A site that is in order, and what a case changes of it. */
  async function write(changes: Record<string, unknown> = {}): Promise<void> {
    const port = (n: number) => ({ host: '127.0.0.1', port: 20_000 + n })
    const config = {
      siteId: 'site-a',
      kmeId: 'kme-a',
      listen: port(1),
      peerListen: port(2),
      tls: { cert: 'cert.pem', key: 'key.pem', ca: 'ca.pem' },
      saes: [{ saeId: 'alice' }],
      peers: [{ siteId: 'site-b', kmeId: 'kme-b', saes: ['bob'], ...port(3) }],
      links: [{ linkId: 'a-b', peerSiteId: 'site-b', kind: 'simulated', rateBps: 1_000, ...port(4) }],
      services: { qnl: port(5), links: port(6) },
      policy: { file: 'policy.yaml' },
      ...changes,
    }
    await writeFile(path, JSON.stringify(config))
  }

  const policy = (rule: string) => writeFile(join(dir.path, 'policy.yaml'), `otherwise: deny\nrules:\n${rule}\n`)

  const tls = async (pems: { cert?: string; key?: string; ca?: string }) => {
    for (const [name, pem] of Object.entries(pems)) {
      await writeFile(join(dir.path, `${name}.pem`), pem!, { mode: 0o600 })
    }
  }

  before(async () => {
    dir = await createTempDir()
    path = join(dir.path, 'site.json')
  })

  after(() => dir[Symbol.asyncDispose]())

  beforeEach(async () => {
    await write()
    await policy('  - name: all\n    match: {master: [alice], slave: [bob], peerSite: [site-b]}')
    await tls(issued('kme-a'))
  })

  const found = async (role?: 'kms' | 'qnl' | 'link') => {
    const { faults } = await checkConfigFile(path, role && { role })
    return faults.map(({ path: pointer, message }) => `${pointer}: ${message}`)
  }

  it('finds nothing wrong with what is in order, for every role', async () => {
    for (const role of ['site', 'kms', 'qnl', 'link'] as const) {
      expect(await checkConfigFile(path, { role })).to.include({ ok: true, role })
    }
  })

  it('names a field that is wrong, and the fix', async () => {
    await write({ listen: { prot: 8014 }, workers: 'many' })
    const faults = await found()
    expect(faults).to.include('/listen: field "prot" is not known; did you mean "port"?')
    expect(faults.find(fault => fault.startsWith('/workers: '))).to.include('an integer from 0 to 64')
  })

  it('names files that are not there', async () => {
    await rm(join(dir.path, 'key.pem'))
    expect((await found())[0]).to.match(/^\/tls\/key: no such file: .*correct the path/)
  })

  it('finds certificates that are over, of somebody else, of another key or another authority', async () => {
    await tls(longAgo(() => issued('kme-a')))
    expect((await found())[0]).to.match(/^\/tls\/cert: expired on .*issue a new one/)
    await tls(issued('kme-x'))
    expect((await found())[0]).to.match(/^\/tls\/cert: names "kme-x" and not kmeId "kme-a"/)
    await tls({ key: issued('kme-x').key })
    expect((await found())[0]).to.match(/^\/tls\/key: not the private key of \/tls\/cert/)
    await tls({ ...issued('kme-a'), ca: issued('kme-a').ca })
    expect(await found()).to.deep.equal(['/tls/cert: is not signed by /tls/ca; name the authority that signed it'])
  })

  it('finds hosts and sites that a policy names and nobody knows, with their place', async () => {
    await policy('  - name: all\n    match: {master: [alcie, "ali*"], slave: [bob], peerSite: [site-c]}')
    const { faults } = await checkConfigFile(path)
    expect(faults.map(({ place, message }) => `${place} ${message}`)).to.deep.equal([
      '4:22 no SAE is named "alcie" here; did you mean "alice"?',
      '4:63 no other site is named "site-c" here; did you mean "site-b"?',
    ])
  })

  it('finds ports that are taken twice', async () => {
    await write({ ops: { host: '0.0.0.0', port: 20_001 } })
    expect(await found()).to.deep.equal(['/ops/port: port 20001 is that of /listen already; give it its own'])
    const replica = { id: 'one', port: 20_005 }
    const store = { kind: 'postgresql', url: 'postgres://qkd@db/pools', path: 'store', kek: { file: 'kek' }, replica }
    await write({ console: { port: 20_001 }, operators: { listen: { port: 20_002 } }, store })
    expect(await found()).to.deep.equal([
      '/operators/listen/port: port 20002 is that of /peerListen already; give it its own',
      '/console/port: port 20001 is that of /listen already; give it its own',
      '/services/qnl/port: port 20005 is that of /store/replica already; give it its own',
    ])
  })

  it('says what a part of a site lacks to be one', async () => {
    await write({ services: undefined })
    expect(await found()).to.deep.equal([])
    expect((await found('kms'))[0]).to.match(/^\/services: field "qnl" is missing/)
    expect((await found('qnl'))[0]).to.match(/^\/services: field "qnl" is missing/)
    expect((await found('link'))[0]).to.match(/^\/services: field "links" is missing/)
  })

  it('ends with exit code 0 or 1, and says the same to a person and to a program', async () => {
    const fine = await runQkd(['config', 'check', path])
    expect(fine).to.include({ exitCode: 0, stdout: `${path}: fit for role site\n` })
    await write({ saes: [{ saeId: 'alice' }, { saeId: 'alice' }] })
    const [plain, json] = await Promise.all([
      runQkd(['config', 'check', path]),
      runQkd(['config', 'check', path, '--json']),
    ])
    expect(plain).to.include({ exitCode: 1, stderr: '' })
    expect(plain.stdout).to.match(/site\.json: \/saes\/1\/saeId: "alice" stands at \/saes\/0\/saeId already/)
    expect(json.exitCode).to.equal(1)
    const report = JSON.parse(json.stdout)
    expect(report).to.include({ ok: false, role: 'site' })
    expect(report.faults[0]).to.include({ file: path, path: '/saes/1/saeId' })
  })

  it('reads the same for controllers and fronts, which it tells by their fields', async () => {
    await writeFile(path, JSON.stringify({ controllerId: 'c' }))
    expect(await checkConfigFile(path)).to.include({ role: 'controller', ok: false })
    await writeFile(path, JSON.stringify({ kmes: [] }))
    expect(await checkConfigFile(path)).to.include({ role: 'front', ok: false })
    await writeFile(path, '{ "siteId": ')
    expect((await found())[0]).to.match(/site\.json:1:\d+/)
    expect(await readFile(path, 'utf8')).to.equal('{ "siteId": ')
  })
})
