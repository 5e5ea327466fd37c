import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import { EXIT_CODES } from '../../bin/exit-codes.ts'
import { loadSiteConfig } from '../../lib/config.ts'
import { verifyAudit } from '../../lib/kms/audit/verify-audit.ts'
import { createSite, type ServedSite } from '../../lib/site.ts'
import { createTempDir } from '../helpers/temp-dir.ts'
import { createTestAuthority } from '../helpers/test-certificates.ts'
import { until } from '../helpers/until.ts'
import { runQkd } from './run-qkd.ts'

describe('qkd alarm and qkd operator', function () {
  this.timeout(120_000)
  let dir: Awaited<ReturnType<typeof createTempDir>>
  let site: ServedSite
  let config: string
  let operator: string

  before(async () => {
    dir = await createTempDir()
    const authority = createTestAuthority()
    const place = (name: string, text: string) => writeFile(join(dir.path, name), text, { mode: 0o600 })
    for (const name of ['kme-a', 'ops']) {
      const { cert, key, ca } = authority.issue(name)
      await Promise.all([place(`${name}.crt`, cert), place(`${name}.key`, key), place('ca.crt', ca)])
    }
    const tls = (name: string) => ({ cert: `${name}.crt`, key: `${name}.key`, ca: 'ca.crt' })
    await place('policy.json', JSON.stringify({ rules: [], otherwise: 'deny' }))
    config = join(dir.path, 'site-a.json')
    const file = {
      siteId: 'site-a',
      kmeId: 'kme-a',
      listen: { port: 0 },
      peerListen: { port: 0 },
      tls: tls('kme-a'),
      saes: [],
      peers: [],
      links: [],
      store: { kind: 'lmdb', path: 'store', kek: { file: 'kek' } },
      policy: { file: 'policy.json' },
      audit: { file: 'audit.log' },
      // Certificates of tests live for days only.
      alarms: { file: 'alarms.json', conditions: { 'certificate-expiring': { off: true } } },
      operators: {
        socket: 'operator.sock',
        listen: { port: 0 },
        people: [{ name: 'olga', roles: ['operator'], commonName: 'ops' }],
      },
    }
    await place('site-a.json', JSON.stringify(file))
    const loaded = await loadSiteConfig(config)
    site = await createSite(loaded.config, { policyPath: loaded.policyPath })
    operator = join(dir.path, 'operator.json')
    const { url } = site.address.operators!.tls!
    await place('operator.json', JSON.stringify({ tls: tls('ops'), site: { url, kmeId: 'kme-a' } }))
  })

  after(async () => {
    await site.close()
    await dir[Symbol.asyncDispose]()
  })

  it('list and acknowledge alarms, at the socket and over TLS', async () => {
    site.telemetry.emit({ type: 'alarm', id: 'fibre', severity: 'major', state: 'raised', text: 'The fibre is cut' })
    const listed = await runQkd(['alarm', 'list', '--config', config])
    expect(listed.exitCode, listed.stderr).to.equal(0)
    expect(listed.stdout).to.match(/^active +major +fibre: The fibre is cut \(since 20\S+Z\)\n$/)
    const seen = await runQkd(['alarm', 'ack', 'fibre', '--note', 'on it', '--config', operator])
    expect(seen.stdout).to.match(/^acknowledged +major +fibre: .*; olga sees to it \("on it"\)\n$/)
    const { siteId, alarms } = JSON.parse((await runQkd(['alarm', 'list', '--config', operator, '--json'])).stdout)
    expect(siteId).to.equal('site-a')
    expect(alarms).to.have.length(1)
    expect(alarms[0]).to.include({ id: 'fibre', state: 'acknowledged' })
    const none = await runQkd(['alarm', 'ack', 'none', '--config', config])
    expect(none.exitCode).to.equal(EXIT_CODES.usage.code)
    expect(none.stderr).to.include('No alarm none stands')
  })

  it('make calls by role, and change the policy and the key of the store of a running site', async () => {
    const reload = await runQkd(['operator', 'call', 'policy-reload', '--config', config])
    expect(reload).to.deep.equal({ exitCode: 0, stdout: '{"rules":0}\n', stderr: '' })
    const refused = await runQkd(['operator', 'call', 'policy-reload', '--config', operator])
    expect(refused.stderr).to.include('policy-reload is for security-officer; "olga" is operator')
    const before = await readFile(join(dir.path, 'kek'))
    const rekeyed = await runQkd(['store', 'rekey', '--config', config, '--json'])
    expect(rekeyed).to.deep.equal({ exitCode: 0, stdout: '{"by":"site"}\n', stderr: '' })
    expect((await readFile(join(dir.path, 'kek'))).equals(before)).to.equal(false)
    const lines: string[] = []
    const read = async () => {
      lines.length = 0
      await verifyAudit(join(dir.path, 'audit.log'), {
        onLine: ({ event, call, operator: who, outcome }) => lines.push(`${event} ${who?.name} ${call} ${outcome}`),
      })
      return lines.some(line => line.startsWith('rekey'))
    }
    await until(read, 'the change of the key is written down')
    expect(lines).to.include.members([
      'operator unix socket policy-reload allowed',
      'operator olga policy-reload ERR_QKD_UNAUTHORIZED',
      'operator unix socket store-rekey allowed',
    ])
  })

  it('say what is missing where a file says no way, or nobody listens', async () => {
    const bare = join(dir.path, 'bare.json')
    await writeFile(bare, JSON.stringify({ tls: { cert: 'ops.crt', key: 'ops.key', ca: 'ca.crt' } }))
    const nowhere = await runQkd(['alarm', 'list', '--config', bare])
    expect(nowhere.exitCode).to.equal(EXIT_CODES.config.code)
    expect(nowhere.stderr).to.include('field "site" is missing')
    const file = JSON.parse(await readFile(config, 'utf8'))
    await writeFile(bare, JSON.stringify({ ...file, operators: { socket: 'none.sock' } }))
    const nobody = await runQkd(['alarm', 'list', '--config', bare])
    expect(nobody.exitCode).to.equal(EXIT_CODES.unreachable.code)
    expect(nobody.stderr).to.include('there is no such socket: is the site running?')
  })

  it('print the table of roles', async () => {
    const { stdout } = await runQkd(['operator', 'roles'])
    expect(stdout).to.match(/^policy-reload +changes +security-officer +Take the policy/m)
  })
})
