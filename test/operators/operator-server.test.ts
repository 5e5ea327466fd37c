import { X509Certificate } from 'node:crypto'
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import { createHttpsTransport } from '../../lib/http/https-transport.ts'
import { createSocketTransport } from '../../lib/http/socket-transport.ts'
import type { Alarm } from '../../lib/interface/alarm.ts'
import type { HttpTransport } from '../../lib/interface/http.ts'
import type { AuditLine } from '../../lib/kms/audit/audit-line.ts'
import { verifyAudit } from '../../lib/kms/audit/verify-audit.ts'
import { createOperatorClient, type OperatorClient } from '../../lib/operators/operator-client.ts'
import type { OperatorDesk } from '../../lib/operators/operator-desk.ts'
import { permissions } from '../../lib/operators/permissions.ts'
import { createSite, type ServedSite } from '../../lib/site.ts'
import { certificateIdentity } from '../../lib/util/certificate-identity.ts'
import { rejectsWith } from '../helpers/rejects-with.ts'
import { createTempDir } from '../helpers/temp-dir.ts'
import { createServedTestSites, type ServedTestSites } from '../helpers/test-sites.ts'

describe('the calls of operators at a site', () => {
  let dir: Awaited<ReturnType<typeof createTempDir>>
  let sites: ServedTestSites
  let site: ServedSite
  let socket: string
  let log: string
  const clients: OperatorClient[] = []

  /** Somebody with a certificate of that name. */
  function clientOf(commonName: string, credentials = sites.credentials(commonName)): OperatorClient {
    return keep(createHttpsTransport({ ...credentials, baseUrl: site.address.operators!.tls!.url }))
  }

  function keep(transport: HttpTransport): OperatorClient {
    const client = createOperatorClient(transport)
    clients.push(client)
    return client
  }

  const lines = async () => {
    const found: AuditLine[] = []
    await verifyAudit(log, { onLine: line => found.push(line) })
    return found
  }

  let pinned: ReturnType<ServedTestSites['credentials']>

  before(async () => {
    dir = await createTempDir()
    sites = await createServedTestSites()
    const [config] = sites.configs
    socket = join(dir.path, 'operator.sock')
    log = join(dir.path, 'audit.log')
    const listen = { host: '127.0.0.1', port: 0 }
    pinned = sites.credentials('whatever')
    const { fingerprint256 } = certificateIdentity(new X509Certificate(pinned.cert))
    const uri = 'urn:example:auditor'
    // A third site, alone: what it answers its operators does not need others.
    site = await createSite({
      ...config,
      ...{ peers: [], links: [], listen, peerListen: listen },
      audit: { file: log },
      // Certificates of tests live for days only.
      alarms: { file: join(dir.path, 'alarms.json'), conditions: { 'certificate-expiring': { off: true } } },
      operators: {
        socket,
        listen,
        people: [
          { name: 'olga', roles: ['operator'], commonName: 'ops-olga' },
          { name: 'anton', roles: ['auditor'], uri },
          { name: 'sofia', roles: ['security-officer'], fingerprint256 },
        ],
      },
    })
  })

  after(async () => {
    for (const client of clients) await client.close()
    await site.close()
    await sites[Symbol.asyncDispose]()
    await dir[Symbol.asyncDispose]()
  })

  it('lets in by certificate whom the configuration names, each with their roles', async () => {
    site.telemetry.emit({ type: 'alarm', id: 'fibre', severity: 'major', state: 'raised', text: 'The fibre is cut' })
    const olga = clientOf('ops-olga')
    const { alarms } = await olga.call<{ alarms: Alarm[] }>('alarm-list')
    expect(alarms[0]).to.include({ id: 'fibre', state: 'active' })
    const seen = await olga.call<Alarm>('alarm-acknowledge', { id: 'fibre', note: 'on it' })
    expect(seen.acknowledged).to.include({ by: 'olga', note: 'on it' })
    const anton = clientOf('anybody', sites.credentials('anybody', { uriSans: ['urn:example:auditor'] }))
    await rejectsWith(anton.call('alarm-acknowledge', { id: 'fibre' }), 'ERR_QKD_UNAUTHORIZED')
    expect(await anton.call<{ n: number }>('audit-head'))
      .to.have.property('n')
      .above(3)
    const sofia = clientOf('sofia', pinned)
    expect(await sofia.call('secrets-refresh')).to.deep.equal({ peers: [] })
    await rejectsWith(clientOf('alice').call('status'), 'ERR_QKD_UNAUTHORIZED')
    // Of the same name, and another certificate than the one that is meant.
    await rejectsWith(clientOf('whatever').call('audit-head'), 'ERR_QKD_UNAUTHORIZED')
    const written = (await lines()).filter(({ event }) => event === 'operator')
    expect(written.map(({ call, operator, outcome }) => `${operator?.name} ${call} ${outcome}`)).to.deep.equal([
      'olga alarm-list allowed',
      'olga alarm-acknowledge allowed',
      'anton alarm-acknowledge ERR_QKD_UNAUTHORIZED',
      'anton audit-head allowed',
      'sofia secrets-refresh allowed',
      'alice status ERR_QKD_UNAUTHORIZED',
      'whatever audit-head ERR_QKD_UNAUTHORIZED',
    ])
    const acknowledged = (await lines()).find(({ event, outcome }) => event === 'alarm' && outcome === 'acknowledged')
    expect(acknowledged).to.deep.include({
      alarm: 'fibre',
      operator: { name: 'olga', roles: ['operator'], by: 'certificate' },
    })
  })

  it('lets in by its socket who may open it: its owner alone', async () => {
    expect((await stat(socket)).mode & 0o777).to.equal(0o600)
    const local = keep(createSocketTransport({ path: socket }))
    expect(await local.call('sae-list')).to.deep.equal({ siteId: 'site-a', saes: ['alice'], peers: [] })
    const status = await local.call<{ gauges: { name: string }[]; alarms: Alarm[] }>('status')
    expect(status.gauges.map(({ name }) => name)).to.include('audit_blocked')
    await rejectsWith(local.call('policy-reload'), 'ERR_QKD_INVALID_ARGUMENT')
    await rejectsWith(local.call('store-rekey'), 'ERR_QKD_INVALID_ARGUMENT')
    await rejectsWith(local.call('alarm-acknowledge', { id: 5 }), 'ERR_QKD_INVALID_ARGUMENT')
    expect((await lines()).at(-1)!.operator).to.deep.include({ name: 'unix socket', by: 'socket' })
  })

  it('turns away who shows no certificate, what is no call, and browsers', async () => {
    const { ca } = sites.credentials('x')
    const other = await createServedTestSites()
    const stranger = other.credentials('ops-olga')
    await rejectsWith(clientOf('ops-olga', { ...stranger, ca }).call('status'), 'ERR_QKD_KME_UNREACHABLE')
    await other[Symbol.asyncDispose]()
    const transport = createHttpsTransport({
      ...sites.credentials('ops-olga'),
      baseUrl: site.address.operators!.tls!.url,
    })
    const ask = async (method: string, target: string, headers: Record<string, string> = {}, text = '{}') =>
      (await transport.request({ method, target, headers, body: Buffer.from(text) })).status
    expect(await ask('POST', '/operator/v1/status')).to.equal(200)
    expect(await ask('GET', '/operator/v1/status')).to.equal(400)
    expect(await ask('POST', '/operator/v1/../status')).to.equal(400)
    expect(await ask('POST', '/api/v1/keys')).to.equal(400)
    expect(await ask('POST', '/operator/v1/status', {}, '{')).to.equal(400)
    expect((await lines()).at(-1)).to.deep.include({ outcome: 'ERR_QKD_INVALID_ARGUMENT', call: 'status' })
    expect(await ask('POST', '/operator/v1/status', { origin: 'https://example.org' })).to.equal(403)
    const { outcome, call, operator } = (await lines()).at(-1)!
    expect({ outcome, call }).to.deep.equal({ outcome: 'ERR_QKD_UNAUTHORIZED', call: '/operator/v1/status' })
    expect(operator!.name).to.equal('olga')
    await transport.close()
  })

  it('answers every call of the table but those of the console and of a network’s controller', () => {
    const elsewhere = Object.keys(permissions).filter(name => name === 'console' || name.startsWith('network-'))
    const { names } = site.operators as OperatorDesk
    expect([...names, ...elsewhere]).to.have.members(Object.keys(permissions))
  })

  it('does not take the socket of another site that runs', async () => {
    const [config] = sites.configs
    const listen = { host: '127.0.0.1', port: 0 }
    const twin = { ...config, peers: [], links: [], listen, peerListen: listen, operators: { socket } }
    await rejectsWith(createSite(twin), 'ERR_QKD_CONFIG')
    expect(await keep(createSocketTransport({ path: socket })).call('alarm-list')).to.have.property('siteId')
  })
})
