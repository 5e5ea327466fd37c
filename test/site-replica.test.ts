import { once } from 'node:events'
import { copyFile, mkdir } from 'node:fs/promises'
import { type AddressInfo, createServer } from 'node:net'
import { join } from 'node:path'
import { expect } from 'chai'
import type { SiteConfig } from '../lib/config/site-config.ts'
import { createSite, DEFAULT_KEYS, DEFAULT_POOL, type ServedSite } from '../lib/site.ts'
import { connectPostgres, type PostgresClient } from '../lib/util/postgres-client.ts'
import { withoutPeer } from './helpers/peer-program.ts'
import { PostgresNode, postgresPrograms } from './helpers/postgres.ts'
import { createTempDir } from './helpers/temp-dir.ts'
import { createTestAuthority } from './helpers/test-certificates.ts'
import { until } from './helpers/until.ts'

const LEASE_MS = 1_000
const listen = { host: '127.0.0.1', port: 0 }

describe('SiteReplica', function () {
  this.timeout(60_000)
  const authority = createTestAuthority()
  let server: PostgresNode
  let dir: Awaited<ReturnType<typeof createTempDir>>
  let sql: PostgresClient
  let sites = 0

  /** Configurations of two replicas of a site of its own; the second needs the keys of the first: `shareKeys`. */
  const replicas = (fields: Partial<SiteConfig> = {}) => {
    sites += 1
    const siteId = `site-${sites}`
    return [1, 2].map(number => {
      const host = join(dir.path, `${siteId}-${number}`)
      return {
        siteId,
        kmeId: 'kme-a',
        listen,
        peerListen: listen,
        tls: authority.issue('kme-a'),
        saes: [{ saeId: 'alice' }],
        peers: [],
        links: [],
        pool: DEFAULT_POOL,
        keys: DEFAULT_KEYS,
        store: {
          kind: 'postgresql',
          url: server.url,
          path: join(host, 'store'),
          kek: { file: join(host, 'kek') },
          leaseMs: LEASE_MS,
          replica: { ...listen, id: `replica-${number}` },
        },
        ...fields,
      } satisfies SiteConfig
    }) as [ReplicaConfig, ReplicaConfig]
  }
  const shareKeys = async ([first, second]: readonly [ReplicaConfig, ReplicaConfig]) => {
    await mkdir(second.store.path, { recursive: true })
    await copyFile(first.store.kek.file, second.store.kek.file)
    await copyFile(join(first.store.path, 'slots.bin'), join(second.store.path, 'slots.bin'))
  }
  const roleOf = (site: ServedSite) => site.status().ownership?.role

  before(async function () {
    const programs = postgresPrograms() ?? withoutPeer(this, 'PostgreSQL is not installed (Debian package postgresql)')
    server = await PostgresNode.create(programs)
    await server.start()
    dir = await createTempDir()
    sql = await connectPostgres({ url: server.url, applicationName: 'test', timeoutMs: 10_000, neededBy: 'The test' })
  })
  after(async () => {
    await sql?.[Symbol.asyncDispose]()
    await server?.[Symbol.asyncDispose]()
    await dir?.[Symbol.asyncDispose]()
  })

  it('says at its start why it cannot open the site, where no fellow can either', async () => {
    await using taken = await takenPort()
    const [config] = replicas()
    const error = await createSite({ ...config, peerListen: taken }).then(
      site => site.close(),
      (reason: NodeJS.ErrnoException) => reason,
    )
    expect(error).to.include({ code: 'EADDRINUSE' })
    const [row] = await sql.query('select epoch, released from qkd_site where site_id = $1', [config.siteId])
    expect(row).to.include({ released: true })
    expect(Number(row!.epoch)).to.equal(2)
  })

  it('ends its start when it is told to', async () => {
    await using taken = await takenPort()
    const [config] = replicas()
    const stopping = new AbortController()
    const opening = createSite({ ...config, peerListen: taken }, { signal: stopping.signal }).catch(error => error)
    // The table is not there before a replica was.
    const released = () =>
      sql.query('select 1 from qkd_site where site_id = $1 and released', [config.siteId]).catch(() => [])
    await until(async () => (await released()).length === 1, 'it has stepped aside')
    stopping.abort()
    expect(await opening).to.equal(stopping.signal.reason)
  })

  it('leaves a site that it cannot open to a fellow that can, says so by an alarm, and follows', async () => {
    const configs = replicas()
    const first = await createSite(configs[0])
    await shareKeys(configs)
    await using taken = await takenPort()
    await using second = await createSite({ ...configs[1], peerListen: taken })
    expect(roleOf(second)).to.equal('follower')
    await first.close()
    const alarms = () => second.alarms.list().map(({ id, state }) => `${id} ${state}`)
    await until(() => alarms().includes('replica-not-opened:replica-2 active'), 'the second one has tried')
    await using again = await createSite(configs[0])
    expect(roleOf(again)).to.equal('owner')
    await until(() => roleOf(second) === 'follower', 'the second one follows')
  })

  it('tells of no links and pools, and ends their alarms, once the site is another one’s', async () => {
    const dark = { linkId: 'a-b', peerSiteId: 'site-z', kind: 'simulated', rateBps: 1_000, role: 'connect' } as const
    const [config] = replicas({
      peers: [{ siteId: 'site-z', kmeId: 'kme-z', saes: ['bob'], host: '127.0.0.1', port: 1 }],
      links: [{ ...dark, host: '127.0.0.1', port: 1 }],
      alarms: {
        clearAfterMs: 0,
        conditions: { 'link-down': { raiseAfterMs: 0 }, 'certificate-expiring': { off: true } },
      },
    })
    await using site = await createSite(config)
    const gauges = () => site.telemetry.readings().filter(({ name }) => /^(?:pool|link|qnl|peer|pair)_/.test(name))
    const states = () => site.alarms.list().map(({ id, state }) => `${id} ${state}`)
    await until(() => states().includes('link-down:a-b active'), 'the link is told to be down')
    expect(gauges().map(({ name }) => name)).to.include.members(['link_up', 'pool_stock_cells'])
    await sql.query(
      `update qkd_site set epoch = epoch + 1, owner_id = 'another', owner_process = 'another' where site_id = $1`,
      [config.siteId],
    )
    const renewing = setInterval(() => {
      sql.query('update qkd_site set renewals = renewals + 1 where site_id = $1', [config.siteId]).catch(() => {})
    }, LEASE_MS / 4)
    try {
      await until(() => roleOf(site) === 'follower' && gauges().length === 0, 'nothing is told of them')
      await until(() => states().includes('link-down:a-b cleared'), 'the alarm is over')
      expect(states()).to.deep.equal(['link-down:a-b cleared'])
    } finally {
      clearInterval(renewing)
    }
  })
})

type ReplicaConfig = SiteConfig & { store: { kind: 'postgresql'; path: string; kek: { file: string } } }

/** A port that another one listens at. */
async function takenPort() {
  const blocking = createServer().listen(0, '127.0.0.1')
  await once(blocking, 'listening')
  const { port } = blocking.address() as AddressInfo
  const close = async () => {
    blocking.close()
    await once(blocking, 'close')
  }
  return { host: '127.0.0.1', port, [Symbol.asyncDispose]: close }
}
