import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect } from 'chai'
import { createRemoteKms } from '../../lib/client/remote-kms.ts'
import { exportKey } from '../../lib/key/export-key.ts'
import { keyIdFromHex } from '../../lib/skip/key-id.ts'
import { peerProgram } from '../helpers/peer-program.ts'
import { createTempDir } from '../helpers/temp-dir.ts'
import type { TestCredentials } from '../helpers/test-certificates.ts'
import { createServedTestSites, type ServedTestSites } from '../helpers/test-sites.ts'
import { until } from '../helpers/until.ts'

const run = promisify(execFile)
const PSK_SUITES = ['DHE-PSK-AES256-GCM-SHA384', 'DHE-PSK-AES256-CBC-SHA384', 'DHE-PSK-AES256-CBC-SHA']

describe("SKIP with other people's clients", function () {
  this.timeout(30_000)
  let sites: ServedTestSites
  let dir: { path: string } & AsyncDisposable
  const bobsKey = randomBytes(32)

  before(async function () {
    for (const program of ['curl', 'openssl']) peerProgram(this, program, program)
    dir = await createTempDir()
    const systems = [
      { systemId: 'router-a', saeId: 'alice' },
      { systemId: 'router-b', saeId: 'bob' },
    ]
    const psks = [{ identity: 'bob-psk', saeId: 'bob', key: bobsKey }]
    sites = await createServedTestSites({
      skip: [
        { systems, psks: [] },
        { systems, psks },
      ],
    })
    await until(() => sites.sites[0].status().pools[0]!.issuableCells > 0, 'key in the pool')
    for (const saeId of ['alice', 'bob', 'carol', 'mallory'])
      await writeCredentials(dir.path, saeId, sites.credentials(saeId))
  })
  after(async () => {
    await sites?.[Symbol.asyncDispose]()
    await dir?.[Symbol.asyncDispose]()
  })

  const urlOf = (site: 0 | 1) => sites.sites[site].address.skip!.url

  /** What curl gets with a certificate on TLS 1.3; rejects where there is no session. */
  async function curl(site: 0 | 1, saeId: string, target: string, ...more: string[]) {
    const files = (['cert', 'key'] as const).flatMap(part => [`--${part}`, join(dir.path, `${saeId}.${part}`)])
    const ca = join(dir.path, 'alice.ca')
    const status = ['--silent', '--show-error', '--max-time', '10', '--write-out', '\n%{http_code}', '--tlsv1.3']
    const { stdout } = await run('curl', [...status, ...files, '--cacert', ca, ...more, urlOf(site) + target])
    const [body = '', code] = stdout.split(/\n(?=\d+$)/)
    return { status: Number(code), json: JSON.parse(body) }
  }

  /** What openssl reads under a pre-shared key; `heard` has no HTTP where there is no session. */
  async function psk(
    target: string,
    { identity = 'bob-psk', key = bobsKey, version = 'tls1_2', more = [] as string[] } = {},
  ) {
    const { host, port } = sites.sites[1].address.skip!
    const args = ['s_client', '-connect', `${host}:${port}`, `-${version}`, '-ign_eof', '-psk_identity', identity]
    const child = run('openssl', [...args, '-psk', key.toString('hex'), ...more], { timeout: 10_000 })
    child.child.stdin!.on('error', () => {})
    child.child.stdin!.end(`GET ${target} HTTP/1.1\r\nhost: kp\r\nconnection: close\r\n\r\n`)
    const heard = (await child.catch((error: { stdout: string }) => error)).stdout
    const [, head, body = ''] = /(HTTP\/1\.1 \d+[\s\S]*?)\r\n\r\n(\{.*\})/.exec(heard) ?? []
    return { heard, status: Number(head?.split(' ')[1]), json: body === '' ? undefined : JSON.parse(body) }
  }

  it('gives curl with a certificate and openssl with a pre-shared key the same key', async () => {
    const { status, json } = await curl(0, 'alice', '/key?remoteSystemID=router-b')
    expect(status).to.equal(200)
    const fetched = await psk(`/key/${json.keyId}?remoteSystemID=router-a`)
    expect(fetched.status, fetched.heard).to.equal(200)
    expect(fetched.json).to.deep.equal(json)
    expect((await psk(`/key/${json.keyId}?remoteSystemID=router-a`)).status).to.equal(400)
  })

  it('lets an ETSI 014 host of the other site fetch what curl drew', async () => {
    const { json } = await curl(0, 'alice', '/key?remoteSystemID=carol&size=512')
    await using carol = createRemoteKms({
      saeId: 'carol',
      baseUrl: sites.sites[1].address.etsi014.url,
      ...sites.credentials('carol'),
    })
    const [key] = await carol.getKeyWithIds('alice', [keyIdFromHex(json.keyId)!])
    expect(exportKey(key!.secret).toString('hex')).to.equal(json.key)
    expect(json.key).to.have.length(128)
  })

  it('tells both of them what it can do', async () => {
    expect((await curl(0, 'alice', '/capabilities')).json).to.deep.include({
      localSystemID: 'router-a',
      remoteSystemID: ['router-b', 'carol'],
    })
    expect((await psk('/capabilities')).json).to.deep.include({
      localSystemID: 'router-b',
      remoteSystemID: ['router-a'],
    })
  })

  for (const suite of PSK_SUITES) {
    it(`takes ${suite} on TLS 1.2`, async () => {
      const { status, heard } = await psk('/entropy', { more: ['-cipher', suite] })
      expect(status, heard).to.equal(200)
      expect(heard).to.include(`Cipher    : ${suite}`)
    })
  }

  it('takes a pre-shared key neither without Diffie-Hellman nor on TLS 1.3', async () => {
    const cipher = ['-cipher', 'PSK-AES256-GCM-SHA384:PSK-AES256-CBC-SHA']
    expect((await psk('/entropy', { more: cipher })).heard).not.to.include('HTTP/1.1')
    expect((await psk('/entropy', { version: 'tls1_3' })).heard).not.to.include('HTTP/1.1 200')
  })

  it('lets nobody in with a wrong key, an unknown identity, or nothing', async () => {
    expect((await psk('/entropy', { key: randomBytes(32) })).heard).not.to.include('HTTP/1.1')
    expect((await psk('/entropy', { identity: 'router-x' })).heard).not.to.include('HTTP/1.1')
    const { host, port } = sites.sites[1].address.skip!
    const bare = await run('curl', ['--silent', '--insecure', `https://${host}:${port}/entropy`]).catch(error => error)
    expect(bare.stdout).to.equal('')
    expect((await curl(1, 'mallory', '/capabilities')).status).to.equal(401)
  })

  it('takes who shows a certificate for its holder, whatever identity it claims besides', async () => {
    const files = (['cert', 'key'] as const).flatMap(part => [`-${part}`, join(dir.path, `carol.${part}`)])
    const { json, heard } = await psk('/capabilities', { version: 'tls1_3', more: files })
    expect(json, heard).to.deep.include({ localSystemID: 'carol' })
  })
})

async function writeCredentials(dir: string, saeId: string, { cert, key, ca }: TestCredentials): Promise<void> {
  for (const [part, pem] of Object.entries({ cert, key, ca })) {
    await writeFile(join(dir, `${saeId}.${part}`), pem, { mode: 0o600 })
  }
}
