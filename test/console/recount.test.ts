import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import type { ConsoleSections, PoolRow } from '../../lib/console/sections.ts'
import { QkdError } from '../../lib/errors.ts'
import type { KmsStatus } from '../../lib/interface/kms.ts'
import { inspectStore } from '../../lib/kms/store/examine-store.ts'
import { openStore } from '../../lib/kms/store/open-store.ts'
import { runQkd } from '../bin/run-qkd.ts'
import { type ConsoleSites, openConsoleSites } from '../helpers/console-sites.ts'
import { until } from '../helpers/until.ts'
import { stateOf } from './events-of.ts'
import { HostLoad } from './host-load.ts'
import { parseMetrics } from './metric-samples.ts'

const HOSTS = { a: ['alice', 'anna'], b: ['bob'], c: ['carl'] }

/** Which gauge of the metrics each figure of a pool is, and how often the console's unit goes into that of the metrics. */
const POOL_GAUGES: readonly [field: keyof PoolRow, metric: (peer: string) => string, scale?: number][] = [
  ['stockCells', peer => `qkd_pool_stock_cells{peer="${peer}",lane="issue"}`],
  ['leasedCells', peer => `qkd_pool_leased_cells{peer="${peer}"}`],
  ['generationBps', peer => `qkd_pool_generation_bps{peer="${peer}"}`],
  ['consumptionBps', peer => `qkd_pool_consumption_bps{peer="${peer}"}`],
  ['peerConsumptionBps', peer => `qkd_pool_peer_consumption_bps{peer="${peer}"}`],
  ['exhaustionMs', peer => `qkd_pool_exhaustion_seconds{peer="${peer}"}`, 1_000],
  ['waiting', peer => `qkd_pool_waiting_requests{peer="${peer}"}`],
  ['degraded', peer => `qkd_pool_degraded{peer="${peer}"}`],
  ['connected', peer => `qkd_peer_connected{peer="${peer}"}`],
]

describe('the figures of the console', function () {
  this.timeout(120_000)
  let sites: ConsoleSites
  let load: HostLoad

  const shown = async (): Promise<ConsoleSections> => (await stateOf(sites.sites.a.address.console!.url)).sections
  const metrics = async () => {
    const { host, port } = sites.sites.a.address.ops!
    return parseMetrics(await (await fetch(`http://${host}:${port}/metrics`)).text())
  }
  const poolOf = (sections: ConsoleSections, peer: string) => sections.pools!.find(row => row.peer === peer)!
  /** Gauges move, so it is asked again until a moment is found at which nothing differs. */
  const agree = (differences: () => Promise<string[]>, what: string) => {
    let last: string[] = []
    return until(async () => {
      last = await differences()
      return last.length === 0
    }, what).catch((error: Error) => {
      throw new Error(`${error.message}: ${last.join('; ')}`)
    })
  }

  before(async () => {
    sites = await openConsoleSites({ hosts: HOSTS, console: { host: '127.0.0.1', port: 0 }, maxWaitMs: 5_000 })
    load = new HostLoad(saeId => sites.host(saeId))
    const { a } = sites.sites
    const isFilled = () => a.status().pools.every(({ issuableCells, connected }) => connected && issuableCells > 900)
    await until(isFilled, 'the pools have key', { timeoutMs: 30_000 })
    for (let round = 0; round < 6; round++) {
      await load.once({ from: 'alice', to: 'bob', number: 5 })
      await load.once({ from: 'anna', to: 'carl', number: 2, level: 'hybrid' })
      await load.once({ from: 'bob', to: 'anna' })
      await load.once({ from: 'alice', to: 'nobody' })
    }
    await load.once({ from: 'anna', to: 'bob', number: 100_000 })
    // No more key comes in, so that what is left can be counted.
    for (const fibre of sites.fibres.values()) fibre.cut()
  })

  after(() => sites?.[Symbol.asyncDispose]())

  it('are the gauges of the metrics, for every pool', async () => {
    await agree(async () => {
      const [sections, samples] = [await shown(), await metrics()]
      expect(sections.pools).to.have.length(2)
      return sections.pools!.flatMap(row =>
        POOL_GAUGES.flatMap(([field, metric, scale = 1]) => {
          const value = samples.get(metric(row.peer))
          if (value === undefined) return [`${metric(row.peer)} is missing`]
          const figure = row[field] === null ? Number.POSITIVE_INFINITY : Number(row[field])
          const measured = Number.isFinite(value) ? Math.round(value * scale) : value
          return figure === measured ? [] : [`${row.peer} ${field}: ${figure} and not ${measured}`]
        }),
      )
    }, 'console and metrics agree')
    await agree(async () => {
      const [{ plan, map, requests }, samples] = [await shown(), await metrics()]
      const sum = (name: string) =>
        [...samples].reduce((all, [each, value]) => (each.startsWith(`${name}{`) ? all + value : all), 0)
      const own = map.links.filter(({ a, b }) => a === 'site-a' || b === 'site-a')
      expect(own).to.have.length(2)
      const figures: [string, number | null, number | undefined][] = [
        ['epoch', plan.epoch, samples.get('qkd_qnl_plan_epoch')],
        ['asked', plan.askedBps, sum('qkd_pool_asked_bps')],
        ['granted', plan.grantedBps, sum('qkd_pool_granted_bps')],
        ['waiting', requests!.waitingNow, sum('qkd_pool_waiting_requests')],
        ...own.map(({ linkId, state }): [string, number, number | undefined] => [
          `link ${linkId}`,
          state === 'down' ? 0 : 1,
          samples.get(`qkd_link_up{link="${linkId}"}`),
        ]),
      ]
      return figures.flatMap(([name, figure, value]) =>
        figure === value ? [] : [`${name}: ${figure} and not ${value}`],
      )
    }, 'the plan and the links agree')
  })

  it('count keys, bits, levels and refusals as who asked has counted them', async () => {
    const [{ consumers, levels, requests }, samples] = [await shown(), await metrics()]
    const isOurs = (saeId: string) => HOSTS.a.includes(saeId)
    const counted = new Map<string, number>()
    const byLevel = new Map<string, number>()
    for (const [name, keys] of load.keys) {
      const [direction, from, to, level, path] = name.split(' ') as [string, string, string, string, string]
      // What this site's hosts were issued, and what they fetched: the rest is the other sites'.
      if (!isOurs(direction === 'out' ? from : to)) continue
      counted.set(`${direction} ${from} ${to}`, (counted.get(`${direction} ${from} ${to}`) ?? 0) + keys)
      byLevel.set(`${level} ${path}`, (byLevel.get(`${level} ${path}`) ?? 0) + keys)
    }
    expect(counted.get('out alice bob')).to.equal(30)
    const rows = consumers!.rows.map(({ direction, master, slave, keys, bits }) => {
      expect(bits).to.equal(keys * 256)
      return [`${direction} ${master} ${slave}`, keys] as const
    })
    expect(Object.fromEntries(rows)).to.deep.equal(Object.fromEntries(counted))
    expect(consumers!.totalBits).to.equal(256 * [...counted.values()].reduce((all, keys) => all + keys, 0))
    const levelRows = levels!.rows.map(({ level, path, keys }) => [`${level} ${path}`, keys])
    expect(Object.fromEntries(levelRows)).to.deep.equal(Object.fromEntries(byLevel))
    for (const [name, keys] of byLevel) {
      const [level, path] = name.split(' ')
      const ending = `level="${level}",path="${path}"}`
      const inMetrics = [...samples].filter(
        ([each]) => /^qkd_keys_(issued|fetched)_total/.test(each) && each.endsWith(ending),
      )
      expect(
        inMetrics.reduce((all, [, value]) => all + value, 0),
        name,
      ).to.equal(keys)
    }
    expect(load.refusals.size).to.be.above(0)
    for (const [code, times] of load.refusals) {
      const row = requests!.refused.find(({ reason }) => `ERR_QKD_${reason}` === code)
      expect(row, code).to.include({ operation: 'getKey', lastHour: times, lastFiveMinutes: times })
      expect(samples.get(`qkd_requests_refused_total{operation="getKey",code="${code}"}`)).to.equal(times)
    }
  })

  it('name the alarms that stand, as the metrics and their keeper do', async () => {
    await agree(async () => {
      const [{ alarms }, samples] = [await shown(), await metrics()]
      const figures = alarms.standing.map(({ id, severity }) => `${id} ${severity}`)
      const labels = [...samples.keys()].flatMap(name => {
        const [, id, severity, state] = /^qkd_alarm_state\{id="(.*)",severity="(.*)",state="(.*)"\}$/.exec(name) ?? []
        return id === undefined || state === 'cleared' ? [] : [`${id} ${severity}`]
      })
      const kept = sites.sites.a.alarms.list().filter(({ state }) => state !== 'cleared')
      expect(kept).to.have.length.above(0)
      const text = (names: string[]) => names.toSorted().join(', ')
      const others = [labels, kept.map(({ id, severity }) => `${id} ${severity}`)]
      return others.flatMap(names => (text(names) === text(figures) ? [] : [`${text(names)} and not ${text(figures)}`]))
    }, 'the same alarms stand everywhere')
  })

  it('hold as many requests as wait', async () => {
    const anna = sites.host('anna')
    const stock = () =>
      sites.sites.a.status().pools.find(({ remoteSiteId }) => remoteSiteId === 'site-c')!.issuableCells
    while (stock() > 900) await anna.getKey('carl', { number: 128 })
    const leaving = new AbortController()
    // Each asks for 2,048 cells, which is more than there is.
    const [number, sizeBits] = [128, 4_096]
    const asked = [1, 2, 3].map(() =>
      anna.getKey('carl', { number, sizeBits, timeoutMs: 30_000, signal: leaving.signal }).then(
        () => 'given',
        () => 'not given',
      ),
    )
    await agree(async () => {
      const [{ requests }, samples] = [await shown(), await metrics()]
      const figures = [requests!.waitingNow, samples.get('qkd_pool_waiting_requests{peer="site-c"}')]
      return figures.every(figure => figure === asked.length) ? [] : [`${figures} wait, not ${asked.length}`]
    }, 'those who wait are counted')
    leaving.abort()
    expect(await Promise.all(asked)).to.deep.equal(['not given', 'not given', 'not given'])
  })

  it('are what is there: as many keys can be had as console, metrics and qkd status say', async () => {
    const { key, cert, ca } = sites.authority.issue('alice')
    for (const [file, pem] of Object.entries({ key, cert, ca })) {
      await writeFile(join(sites.directory, `alice.${file}`), pem, { mode: 0o600 })
    }
    const tls = { cert: 'alice.cert', key: 'alice.key', ca: 'alice.ca' }
    const profile = join(sites.directory, 'alice.json')
    await writeFile(profile, JSON.stringify({ saeId: 'alice', kme: sites.sites.a.address.etsi014.url, tls }))
    const { exitCode, stdout, stderr } = await runQkd(['status', 'bob', '--config', profile, '--json'])
    expect(exitCode, stderr).to.equal(0)
    const status = JSON.parse(stdout) as KmsStatus
    await agree(async () => {
      const [row, samples] = [poolOf(await shown(), 'site-b'), await metrics()]
      const measured = samples.get('qkd_pool_stock_cells{peer="site-b",lane="issue"}')
      const figures = [row.stockCells, measured, status.storedKeyCount]
      return new Set(figures).size === 1 ? [] : [`console, metrics and status say ${figures}`]
    }, 'all three agree')
    // The two sides lend each other what they have not begun, so what both show is counted together.
    const { b } = sites.sites
    const farStock = () =>
      b.telemetry.readings().find(({ name, labels }) => name === 'pool_stock_cells' && labels.peer === 'site-a')
    const total = poolOf(await shown(), 'site-b').stockCells + (farStock()?.value ?? 0)
    expect(total).to.be.above(1_000)
    let had = 0
    const drain = async (from: string, to: string) => {
      const { pools } = (from === 'alice' ? sites.sites.a : b).status()
      const { issuableCells } = pools.find(({ remoteSiteId }) => remoteSiteId === (to === 'bob' ? 'site-b' : 'site-a'))!
      const number = Math.max(1, Math.min(128, issuableCells))
      const keys = await sites
        .host(from)
        .getKey(to, { number, timeoutMs: 1_000 })
        .catch((error: unknown) => {
          if (error instanceof QkdError) return []
          throw error
        })
      had += keys.length
      return keys.length > 0
    }
    for (let isMore = true; isMore; ) {
      const [here, there] = [await drain('alice', 'bob'), await drain('bob', 'alice')]
      isMore = here || there
    }
    expect(had).to.equal(total)
    await agree(async () => {
      const left = poolOf(await shown(), 'site-b').stockCells
      return left === 0 ? [] : [`the console still shows ${left}`]
    }, 'the stock is gone')
  })

  it('count the lines of the audit log and the blocks of the store as they lie on the disk', async () => {
    const text = (sections: ConsoleSections, name: string) => sections.health.find(row => row.name === name)!.text
    let blocks = Number.NaN
    await agree(async () => {
      const sections = await shown()
      const lines = Number(/^(\d+) lines/.exec(text(sections, 'Audit log'))?.[1])
      blocks = Number(/^(\d+) live/.exec(text(sections, 'Blocks'))?.[1])
      const written = (await readFile(join(sites.directory, 'audit.log'), 'utf8')).trimEnd().split('\n').length
      expect(written).to.be.above(30)
      return lines === written ? [] : [`${lines} lines and not ${written}`]
    }, 'the lines agree')
    await sites.sites.a.close()
    const kek = { file: join(sites.directory, 'store.kek') }
    const { store, slots } = await openStore({ path: join(sites.directory, 'store'), kek })
    try {
      const states = (await inspectStore(store)).flatMap(report => Object.values(report.blocks))
      const live = states.reduce((all, { received = 0, ready = 0, active = 0 }) => all + received + ready + active, 0)
      expect(live).to.equal(blocks)
    } finally {
      await slots.close()
      await store.close()
    }
  })
})
