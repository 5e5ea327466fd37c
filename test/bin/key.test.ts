import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect } from 'chai'
import { EXIT_CODES } from '../../bin/exit-codes.ts'
import { createServer } from '../../integrations/tls/index.ts'
import { createCertificateAuthority } from '../../lib/pki.ts'
import { peerProgram } from '../helpers/peer-program.ts'
import { runQkd } from './run-qkd.ts'
import { openServedSites, type ServedSites } from './served-sites.ts'

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/

interface KeysDocument {
  masterSaeId: string
  slaveSaeId: string
  keys: { keyId: string; key: string; sizeBits: number; level: string; trustClass: string }[]
}

describe('qkd key and qkd status', function () {
  // Each case starts several processes.
  this.timeout(120_000)

  let sites: ServedSites
  before(async () => {
    sites = await openServedSites()
  })
  after(() => sites?.close())

  const as = (saeId: string, ...args: string[]) => runQkd([...args, '--config', sites.profile(saeId)])
  const getJson = async (...args: string[]) => {
    const { exitCode, stdout, stderr } = await as('alice', 'key', 'get', 'bob', ...args)
    expect({ exitCode, stderr }).to.deep.equal({ exitCode: 0, stderr: '' })
    return JSON.parse(stdout) as KeysDocument
  }

  it('gives Bob, by the key_ID and from his own KME, the key that Alice was given', async () => {
    const alice = await getJson('--format', 'json')
    expect(alice).to.include({ masterSaeId: 'alice', slaveSaeId: 'bob' })
    const [key] = alice.keys
    expect(key!.keyId).to.match(UUID)
    expect(key).to.include({ sizeBits: 256, level: 'quantum', trustClass: 'direct' })
    expect(Buffer.from(key!.key, 'base64')).to.have.length(32)
    const bob = await as('bob', 'key', 'get-by-id', 'alice', key!.keyId, '--json')
    expect(JSON.parse(bob.stdout)).to.deep.equal(alice)
  })

  it('takes as many keys of the size that is asked for, and gives them in hex in the order asked', async () => {
    const { keys } = await getJson('--number', '3', '--size', '512', '--json')
    expect(keys.map(key => key.sizeBits)).to.deep.equal([512, 512, 512])
    const asked = keys.toReversed()
    const bob = await as('bob', 'key', 'get-by-id', 'alice', ...asked.map(key => key.keyId), '--format', 'hex')
    expect(bob.stdout).to.equal(
      asked.map(({ keyId, key }) => `${keyId} ${Buffer.from(key, 'base64').toString('hex')}\n`).join(''),
    )
  })

  it('gives the same key to further hosts, as its option names them', async () => {
    const alice = await getJson('--also', 'carol', '--json')
    for (const saeId of ['carol', 'bob']) {
      const same = await as(saeId, 'key', 'get-by-id', 'alice', alice.keys[0]!.keyId, '--json')
      expect((JSON.parse(same.stdout) as KeysDocument).keys).to.deep.equal(alice.keys)
    }
    const refused = await as('alice', 'key', 'get', 'bob', '--also', 'nobody')
    expect(refused.exitCode).to.not.equal(0)
    expect(refused.stderr).to.contain('nobody')
  })

  it('holds both ends to the lowest level that will do', async () => {
    const clash = await as('alice', 'key', 'get', 'bob', '--level', 'quantum', '--min-level', 'hybrid')
    expect(clash.exitCode).to.not.equal(0)
    expect(clash.stderr).to.include('minLevel hybrid')
    const { keys } = await getJson('--min-level', 'post-quantum', '--json')
    expect(keys[0]!.level).to.equal('quantum')
    const refused = await as('bob', 'key', 'get-by-id', 'alice', keys[0]!.keyId, '--min-level', 'hybrid')
    expect(refused.exitCode).to.not.equal(0)
    expect(refused.stderr).to.include('minLevel hybrid')
    const bob = await as('bob', 'key', 'get-by-id', 'alice', keys[0]!.keyId, '--min-level', 'expanded', '--json')
    expect((JSON.parse(bob.stdout) as KeysDocument).keys).to.deep.equal(keys)
  })

  it('gives keys as text for a person, and in base64 for a script', async () => {
    const alice = await as('alice', 'key', 'get', 'bob')
    const [, keyId, key] = /^key_ID {2}(\S+)\nkey {5}(\S+)\n {8}\(base64; 256 bits, quantum, direct\)\n$/.exec(
      alice.stdout,
    )!
    const bob = await as('bob', 'key', 'get-by-id', 'alice', keyId!, '--format', 'base64')
    expect(bob.stdout).to.equal(`${keyId} ${key}\n`)
  })

  it('gives openssl the options with which it reaches a raw peer', async function () {
    const openssl = peerProgram(this, 'openssl', 'openssl')
    const { stdout } = await as('alice', 'key', 'get', 'bob', '--format', 'openssl')
    expect(stdout).to.match(/^-psk_identity q1~alice~[0-9a-f-]{36} -psk [0-9a-f]{64}\n$/)
    await using bob = await sites.kmsFor('bob')
    const server = createServer(bob, { peers: [{ saeId: 'alice', binding: 'raw' }] }, socket => {
      socket.once('data', () => socket.end('from Bob'))
    })
    await once(server.listen(0, '127.0.0.1'), 'listening')
    try {
      const { port } = server.address() as AddressInfo
      const options = ['s_client', '-connect', `127.0.0.1:${port}`, '-tls1_3', '-quiet', ...stdout.trim().split(' ')]
      const client = promisify(execFile)(openssl, options, { timeout: 10_000 })
      client.child.stdin!.end('from Alice\n')
      expect((await client).stdout).to.equal('from Bob')
    } finally {
      await new Promise(resolve => server.close(resolve))
    }
  })

  it('refuses a key a second time, with a code of its own', async () => {
    const { keys } = await getJson('--json')
    const again = () => as('bob', 'key', 'get-by-id', 'alice', keys[0]!.keyId, '--json')
    expect((await again()).exitCode).to.equal(0)
    const { exitCode, stdout, stderr } = await again()
    expect({ exitCode, stdout }).to.deep.equal({ exitCode: EXIT_CODES.notFound.code, stdout: '' })
    expect(JSON.parse(stderr).error).to.include({ code: 'ERR_QKD_KEY_NOT_FOUND', exitCode })
  })

  it('refuses Carol the key that was issued to Bob, who still gets it', async () => {
    const { keys } = await getJson('--json')
    const carol = await as('carol', 'key', 'get-by-id', 'alice', keys[0]!.keyId)
    expect(carol.exitCode).to.equal(EXIT_CODES.unauthorized.code)
    expect(carol.stderr).to.match(/^error: ERR_QKD_UNAUTHORIZED: /)
    expect((await as('bob', 'key', 'get-by-id', 'alice', keys[0]!.keyId)).exitCode).to.equal(0)
  })

  it('refuses a host that the site does not know', async () => {
    expect((await as('mallory', 'status', 'alice')).exitCode).to.equal(EXIT_CODES.unauthorized.code)
  })

  it('refuses more than the pool holds, and consumes nothing', async () => {
    const { exitCode, stderr } = await as('alice', 'key', 'get', 'bob', '--number', '128', '--size', '31744')
    expect(exitCode).to.equal(EXIT_CODES.exhausted.code)
    expect(stderr).to.match(/^error: ERR_QKD_POOL_EXHAUSTED: /)
    expect(await getJson('--json'))
      .to.have.property('keys')
      .with.length(1)
  })

  it('refuses another host of the own site, and sizes and numbers that no KME gives', async () => {
    for (const args of [['zoe'], ['bob', '--size', '12'], ['bob', '--number', 'x']]) {
      const { exitCode, stdout, stderr } = await as('alice', 'key', 'get', ...args)
      expect({ exitCode, stdout }, args.join(' ')).to.deep.equal({ exitCode: EXIT_CODES.usage.code, stdout: '' })
      expect(stderr).to.match(/^error: ERR_QKD_INVALID_ARGUMENT: .*\n$/)
    }
  })

  it('shows the state of the pool, for a person and for a program', async () => {
    const text = await as('alice', 'status', 'bob')
    expect(text.exitCode).to.equal(0)
    expect(text.stdout).to.match(
      /^hosts +alice -> bob\nKMEs +kme-a -> kme-b\nkeys at hand +\d+ of at most \d+, 256 bits each\n/,
    )
    const json = await as('bob', 'status', 'alice', '--json')
    const status = JSON.parse(json.stdout)
    expect(status).to.include({ masterSaeId: 'bob', slaveSaeId: 'alice', keySizeBits: 256 })
    expect(status.outlook).to.include({ degraded: false })
    expect(text.stdout).to.match(/^demand +(steady|changing); (nobody asks|the stock lasts)/m)
  })

  it('takes each part of the connection by an option of its own', async () => {
    const pki = join(sites.dir, 'pki')
    const parts = [
      ...['--kme', sites.a.ready.address.etsi014.url, '--kme-id', 'kme-a', '--sae', 'alice'],
      ...['--cert', join(pki, 'site-a/sae-alice.crt'), '--key', join(pki, 'site-a/sae-alice.key')],
    ]
    const ca = join(pki, 'ca.crt')
    expect((await runQkd(['status', 'bob', ...parts, '--ca', ca])).exitCode).to.equal(0)

    const missing = await runQkd(['status', 'bob', ...parts])
    expect(missing.exitCode).to.equal(EXIT_CODES.usage.code)
    expect(missing.stderr).to.include('(missing: --ca)')
    const both = await runQkd(['status', 'bob', ...parts, '--config', sites.profile('alice')])
    expect(both.exitCode).to.equal(EXIT_CODES.usage.code)
    const lost = await runQkd(['status', 'bob', ...parts, '--ca', join(pki, 'no.crt')])
    expect(lost.exitCode).to.equal(EXIT_CODES.config.code)

    const rogue = join(sites.dir, 'rogue.crt')
    await writeFile(rogue, createCertificateAuthority({ commonName: 'Rogue CA', days: 1 }).certificatePem)
    expect((await runQkd(['status', 'bob', ...parts, '--ca', rogue])).exitCode).to.equal(EXIT_CODES.unreachable.code)
    const other = parts.map(part => (part === 'kme-a' ? 'kme-z' : part))
    const stranger = await runQkd(['status', 'bob', ...other, '--ca', ca])
    expect(stranger.exitCode).to.equal(EXIT_CODES.unreachable.code)
    expect(stranger.stderr).to.include('kme-z')
  })

  it('says so when the KME does not answer', async () => {
    const config = join(sites.dir, 'pki/site-a/nobody.json')
    const tls = { cert: 'sae-alice.crt', key: 'sae-alice.key', ca: '../ca.crt' }
    await writeFile(config, JSON.stringify({ saeId: 'alice', kme: 'https://127.0.0.1:1', tls }))
    const { exitCode, stderr } = await runQkd(['status', 'bob', '--config', config])
    expect(exitCode).to.equal(EXIT_CODES.unreachable.code)
    expect(stderr).to.match(/^error: ERR_QKD_KME_UNREACHABLE: .*127\.0\.0\.1:1 .*\n$/)
  })
})
