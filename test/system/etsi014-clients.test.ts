import { execFile } from 'node:child_process'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect } from 'chai'
import { peerProgram } from '../helpers/peer-program.ts'
import { createTempDir } from '../helpers/temp-dir.ts'
import { createServedTestSites, type ServedTestSites } from '../helpers/test-sites.ts'
import { until } from '../helpers/until.ts'
import { PythonClient, type PythonHost } from './python-client.ts'

const run = promisify(execFile)

interface EtsiKey {
  readonly key_ID: string
  readonly key: string
}

/** What curl got. */
interface CurlAnswer {
  readonly status: number
  readonly headers: string
  // biome-ignore lint/suspicious/noExplicitAny: a test reads what it expects
  readonly json: any
}

describe('clients of other makes at two sites', function () {
  this.timeout(60_000)
  let dir: Awaited<ReturnType<typeof createTempDir>>
  let sites: ServedTestSites
  let alice: PythonHost
  let bob: PythonHost

  /** Certificate files of a host, and where its KME is. */
  async function hostAt(saeId: string, site: 0 | 1): Promise<PythonHost> {
    const credentials = sites.credentials(saeId)
    const files = { cert: '', key: '', ca: '' }
    for (const part of ['cert', 'key', 'ca'] as const) {
      files[part] = join(dir.path, `${saeId}.${part}.pem`)
      await writeFile(files[part], credentials[part], { mode: 0o600 })
    }
    return { url: sites.sites[site].address.etsi014.url, kmeId: sites.configs[site].kmeId, files }
  }

  before(async () => {
    dir = await createTempDir()
    sites = await createServedTestSites({ store: 'lmdb' })
    const kms = sites.sites[0].kmsFor('alice')
    await until(async () => (await kms.getStatus('bob')).storedKeyCount > 500, 'the pool has keys')
    ;[alice, bob] = [await hostAt('alice', 0), await hostAt('bob', 1)]
  })

  after(async () => {
    await sites?.[Symbol.asyncDispose]()
    await dir?.[Symbol.asyncDispose]()
  })

  describe('curl', () => {
    async function curl(path: string, host: PythonHost, target: string, ...more: string[]): Promise<CurlAnswer> {
      const { cert, key, ca } = host.files
      const head = join(dir.path, 'head')
      const tls = ['--cacert', ca, '--cert', cert, '--key', key]
      const args = ['--silent', '--show-error', '--max-time', '10', ...tls, '--dump-header', head, ...more]
      const { stdout } = await run(path, [...args, `${host.url}/api/v1/keys/${target}`])
      const headers = await readFile(head, 'utf8')
      return { status: Number(/^HTTP\/1\.1 (\d+)/.exec(headers)?.[1]), headers, json: JSON.parse(stdout) }
    }

    const post = (body: object) => ['--header', 'Content-Type: application/json', '--data', JSON.stringify(body)]

    it('draws keys at one site and gets the same at the other', async function () {
      const path = peerProgram(this, 'curl', 'curl')
      const status = await curl(path, alice, 'bob/status')
      expect(status.json).to.include({ master_SAE_ID: 'alice', slave_SAE_ID: 'bob', source_KME_ID: 'kme-a' })
      const one = await curl(path, alice, 'bob/enc_keys?number=1&size=256')
      expect(one.headers).to.match(/cache-control: no-store/i)
      const [key] = one.json.keys as EtsiKey[]
      const fetched = await curl(path, bob, `alice/dec_keys?key_ID=${key!.key_ID}`)
      expect(fetched.json).to.deep.equal(one.json)
      const three = (await curl(path, alice, 'bob/enc_keys', ...post({ number: 3, size: 512 }))).json.keys as EtsiKey[]
      const ids = { key_IDs: three.map(({ key_ID }) => ({ key_ID })) }
      expect((await curl(path, bob, 'alice/dec_keys', ...post(ids))).json.keys).to.deep.equal(three)
      const again = await curl(path, bob, 'alice/dec_keys', ...post(ids))
      expect(again.status).to.equal(400)
      expect(again.json.message).to.equal('one or more keys specified are not found on KME')
    })

    it('gets nothing without a certificate, and 401 with one that is not registered', async function () {
      const path = peerProgram(this, 'curl', 'curl')
      const url = `${alice.url}/api/v1/keys/bob/enc_keys`
      const bare = run(path, ['--silent', '--show-error', '--max-time', '10', '--cacert', alice.files.ca, url])
      expect(
        await bare.then(
          ({ stdout }) => stdout,
          () => 'failed',
        ),
      ).to.equal('failed')
      const stranger = await hostAt('sae-9', 0)
      const { status, json } = await curl(path, stranger, 'bob/enc_keys')
      expect(status).to.equal(401)
      expect(json.message).to.include('sae-9')
    })
  })

  describe("Python's standard library", () => {
    it('draws keys at one site and gets the same at the other, all by the text of the standard', async function () {
      const python = peerProgram(this, 'python3', 'python3')
      await using master = new PythonClient(python, alice)
      await using slave = new PythonClient(python, bob)
      const { body: status } = await master.call({ call: 'status', sae: 'bob' })
      expect(status).to.include({ source_KME_ID: 'kme-a', target_KME_ID: 'kme-b', master_SAE_ID: 'alice' })
      for (let round = 0; round < 20; round += 1) {
        const number = (round % 4) + 1
        const size = 128 * (round % 3) + 128
        const { body } = await master.call({ call: 'enc_keys', sae: 'bob', number, size })
        const ids = (body.keys as EtsiKey[]).map(({ key_ID }) => key_ID)
        expect(await slave.call({ call: 'dec_keys', sae: 'alice', ids })).to.deep.equal({ status: 200, body })
      }
    })

    it('is refused as the standard says', async function () {
      const python = peerProgram(this, 'python3', 'python3')
      await using master = new PythonClient(python, alice)
      await using slave = new PythonClient(python, bob)
      const { body } = await master.call({ call: 'enc_keys', sae: 'bob' })
      const ids = (body.keys as EtsiKey[]).map(({ key_ID }) => key_ID)
      expect(await slave.call({ call: 'dec_keys', sae: 'alice', ids })).to.have.property('status', 200)
      const again = await slave.call({ call: 'dec_keys', sae: 'alice', ids })
      expect(again).to.have.property('status', 400)
      expect(again.body.message).to.equal('one or more keys specified are not found on KME')
      const odd = await master.call({ call: 'enc_keys', sae: 'bob', size: 250 })
      expect(odd.body.message).to.equal('size shall be a multiple of 8')
      expect(await master.call({ call: 'enc_keys', sae: 'nobody' })).to.have.property('status', 400)
    })

    it('does not speak to a KME of another name', async function () {
      const python = peerProgram(this, 'python3', 'python3')
      await using client = new PythonClient(python, { ...alice, kmeId: 'kme-x' })
      const outcome = await client.call({ call: 'status', sae: 'bob' }).catch((error: Error) => error.message)
      expect(outcome).to.match(/the certificate is not that of kme-x/)
    })
  })
})
