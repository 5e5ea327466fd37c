import { once } from 'node:events'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { expect } from 'chai'
import type { SiteConfig } from '../../lib/config/site-config.ts'
import { createSite } from '../../lib/site.ts'
import { receiveSyslogUdp } from '../helpers/syslog-receiver.ts'
import { createTempDir } from '../helpers/temp-dir.ts'
import { createServedTestSites, type ServedTestSites } from '../helpers/test-sites.ts'
import { until } from '../helpers/until.ts'

const olga = { name: 'olga', roles: ['operator'], by: 'socket' } as const
const listen = { host: '127.0.0.1', port: 0 }

describe('the alarms of a site', function () {
  this.timeout(60_000)
  let dir: Awaited<ReturnType<typeof createTempDir>>
  let sites: ServedTestSites

  before(async () => {
    dir = await createTempDir()
    sites = await createServedTestSites()
  })

  after(async () => {
    await sites[Symbol.asyncDispose]()
    await dir[Symbol.asyncDispose]()
  })

  /** A site of nobody else, with these alarms. */
  const alone = (alarms: SiteConfig['alarms']) => {
    const config = { ...sites.configs[0], peers: [], links: [], listen, peerListen: listen, ops: listen }
    return createSite({ ...config, ...(alarms && { alarms }) })
  }

  it('go to every sink, whatever another does, while the site serves; what each took is counted', async () => {
    const posts: { id: string; state: string }[] = []
    const { cert, key, ca } = sites.credentials('hooks')
    const hooks = createServer({ cert, key }, async (request, response) => {
      const chunks: Buffer[] = []
      for await (const chunk of request) chunks.push(chunk as Buffer)
      posts.push(JSON.parse(Buffer.concat(chunks).toString()))
      response.writeHead(200).end()
    })
    hooks.listen(0, '127.0.0.1')
    await once(hooks, 'listening')
    await using log = await receiveSyslogUdp()
    const site = await alone({
      clearAfterMs: 0,
      conditions: { 'certificate-expiring': { off: true } },
      sinks: [
        { kind: 'command', name: 'hangs', argv: ['/bin/sleep', '600'], timeoutMs: 100 },
        { kind: 'webhook', name: 'hooks', url: `https://localhost:${(hooks.address() as AddressInfo).port}/`, ca },
        { kind: 'syslog', name: 'log', transport: 'udp', host: '127.0.0.1', port: log.port },
      ],
    })
    const fault = { type: 'alarm', id: 'fibre', severity: 'major', text: 'The fibre is cut' } as const
    site.telemetry.emit({ ...fault, state: 'raised' })
    await site.alarms.acknowledge('fibre', olga)
    site.telemetry.emit({ ...fault, state: 'cleared' })
    await until(() => posts.length === 3 && log.messages.length === 3, 'both have all three')
    expect(posts.map(({ id, state }) => `${id} ${state}`)).to.deep.equal([
      'fibre active',
      'fibre acknowledged',
      'fibre cleared',
    ])
    expect(log.faults).to.deep.equal([])
    expect(log.messages.map(({ severity }) => severity)).to.deep.equal([3, 5, 5])
    const page = await (await fetch(`http://127.0.0.1:${site.address.ops!.port}/metrics`)).text()
    for (const sink of ['hooks', 'log'])
      expect(page).to.include(`qkd_alarm_deliveries_total{site="site-a",sink="${sink}",outcome="delivered"} 3`)
    expect(page).to.not.include('sink="hangs",outcome="delivered"')
    // A sink that hangs holds up the end for its drain and no longer.
    await site.close()
    hooks.close()
    hooks.closeAllConnections()
  })

  it('stay acknowledged when the site starts again', async () => {
    const alarms = { file: join(dir.path, 'alarms.json'), conditions: { 'certificate-expiring': { off: true } } }
    const before = await alone(alarms)
    before.telemetry.emit({ type: 'alarm', id: 'fibre', severity: 'major', state: 'raised', text: 'The fibre is cut' })
    await before.alarms.acknowledge('fibre', olga, { note: 'on it' })
    await before.close()
    const after = await alone(alarms)
    expect(after.alarms.list()).to.have.length(1)
    expect(after.alarms.list()[0]).to.deep.include({ id: 'fibre', state: 'acknowledged' })
    expect(after.alarms.list()[0]!.acknowledged).to.include({ by: 'olga', note: 'on it' })
    const page = await (await fetch(`http://127.0.0.1:${after.address.ops!.port}/metrics`)).text()
    expect(page).to.include('qkd_alarm_state{site="site-a",id="fibre",severity="major",state="acknowledged"} 1')
    await after.close()
  })

  it('come of what the site itself sees: a certificate that ends soon', async () => {
    const site = await alone({})
    const found = () => site.alarms.list().find(({ id }) => id === 'certificate-expiring:tls:kme-a')
    await until(() => found() !== undefined, 'the site has looked at its certificates')
    expect(found()!.text).to.equal('Certificate tls (kme-a) ends in 1 days')
    await site.close()
  })
})
