import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect } from 'chai'
import { parse } from 'yaml'
import { gaugeTable } from '../../lib/metrics/gauge-table.ts'
import { formatFor } from '../../lib/metrics/open-metrics.ts'
import { SiteMetrics } from '../../lib/metrics/site-metrics.ts'
import { EndState } from '../../lib/qll/end-state.ts'
import { createSite, type ServedSite } from '../../lib/site.ts'
import { TelemetryHub } from '../../lib/telemetry.ts'
import { peerProgram } from '../helpers/peer-program.ts'
import { createTempDir } from '../helpers/temp-dir.ts'
import { createServedTestSites, createTestSites } from '../helpers/test-sites.ts'
import { until } from '../helpers/until.ts'
import { createAgentPair } from '../integrations/kerberos/agent-pair.ts'
import { grafanaDashboard } from '../structure/dashboard.ts'
import { readSource, top } from '../structure/tree.ts'

const run = promisify(execFile)
const FOLDER = join(top, 'docs/monitoring')

interface Rule {
  readonly alert: string
  readonly expr: string
  readonly labels: { readonly severity: string }
  readonly annotations: { readonly summary: string; readonly description: string }
}

interface RuleTest {
  readonly name: string
  readonly alert_rule_test: readonly { readonly alertname: string; readonly exp_alerts: readonly unknown[] }[]
}

const rules = (parse(readSource('docs/monitoring/alerts.yaml').text) as { groups: { rules: Rule[] }[] }).groups.flatMap(
  group => group.rules,
)
const ruleTests = (parse(readSource('docs/monitoring/alerts.test.yaml').text) as { tests: RuleTest[] }).tests

/** What must be told to whoever watches a network. */
const NEEDED = [
  'pool below its reorder point',
  'link down',
  'QBER high',
  'PostgreSQL asynchronous',
  'audit blocked',
  'clock skew',
  'certificate expiring',
  'kvno near its end',
  'rotation failing',
]

/** Names of metrics in an expression, with the labels that it names beside each. */
function metricsIn(expr: string): { name: string; labels: string[] }[] {
  return [...expr.matchAll(/\b(qkd_[a-z0-9_]+)(?:\{([^}]*)\})?/g)].map(([, name, selector = '']) => ({
    name: name!,
    labels: [...selector.matchAll(/([a-z_]+)\s*[=!]/g)].map(([, label]) => label!),
  }))
}

/** Names of samples on a page, each with the labels that it has. */
function samplesOn(page: string): Map<string, Set<string>> {
  const found = new Map<string, Set<string>>()
  for (const line of page.split('\n')) {
    const sample = /^(qkd_[a-z0-9_]+)(?:\{(.*)\})? \S+$/.exec(line)
    if (sample === null) continue
    const labels = found.get(sample[1]!) ?? new Set()
    for (const [, label] of (sample[2] ?? '').matchAll(/([a-z_]+)="/g)) labels.add(label!)
    found.set(sample[1]!, labels)
  }
  return found
}

describe('monitoring', function () {
  this.timeout(120_000)

  describe('the alert rules', () => {
    it('pass promtool’s check, and its tests of each', async function () {
      const promtool = peerProgram(this, 'promtool', 'prometheus')
      await run(promtool, ['check', 'rules', 'alerts.yaml'], { cwd: FOLDER })
      const { stdout } = await run(promtool, ['test', 'rules', 'alerts.test.yaml'], { cwd: FOLDER })
      expect(stdout).to.include('SUCCESS')
    })

    it('are for all that must be told, and each is seen to stay quiet, fire and clear', () => {
      expect(ruleTests.map(({ name }) => name)).to.deep.equal(NEEDED)
      expect(rules).to.have.length(NEEDED.length)
      for (const { name, alert_rule_test: moments } of ruleTests) {
        const fires = moments.map(({ exp_alerts: alerts }) => alerts.length > 0)
        expect(fires[0], `${name} is quiet at first`).to.equal(false)
        expect(fires.includes(true), `${name} fires`).to.equal(true)
        expect(fires.at(-1), `${name} clears`).to.equal(false)
        expect(new Set(moments.map(({ alertname }) => alertname)).size).to.equal(1)
      }
      const tested = ruleTests.map(({ alert_rule_test: moments }) => moments[0]!.alertname)
      expect(tested).to.have.members(rules.map(({ alert }) => alert))
    })
  })

  it('gives every gauge of the contract a metric with help, and a unit where its name ends in one', () => {
    const hub = new TelemetryHub()
    using metrics = new SiteMetrics(hub, { site: 'a' })
    for (const name of Object.keys(gaugeTable)) hub.gauge(name as 'pool_degraded', { peer: 'b' }, 1)
    const lines = metrics.text().split('\n')
    for (const [gauge, { name, unit, help, scale }] of Object.entries(gaugeTable)) {
      expect(help.length, gauge).to.be.above(10)
      expect(lines).to.include(`# TYPE ${name} gauge`)
      expect(lines.some(line => line.startsWith(`# HELP ${name} `))).to.equal(true)
      expect(lines).to.include(`${name}{site="a",peer="b"} ${scale}`)
      const last = name.split('_').at(-1)!
      expect(unit, `unit of ${gauge}`).to.equal(['cells', 'bps', 'bytes', 'seconds'].includes(last) ? last : undefined)
      if (unit !== undefined) expect(lines).to.include(`# UNIT ${name} ${unit}`)
    }
  })

  it('speaks OpenMetrics, and the older format to those who can read no other', () => {
    expect(formatFor('application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5')).to.equal(
      'openmetrics',
    )
    expect(formatFor('text/plain;version=0.0.4')).to.equal('plain')
    expect(formatFor('*/*')).to.equal('openmetrics')
    expect(formatFor(undefined)).to.equal('openmetrics')
  })

  describe('the pages of a site and of an agent with everything on', () => {
    let pages: readonly string[]
    let samples: Map<string, Set<string>>

    before(async () => {
      await using dir = await createTempDir()
      await using sites = await createServedTestSites({ store: 'lmdb' })
      // The first site again, with audit log, alarms and metrics.
      const [config] = sites.configs
      await sites.sites[0].close()
      const listen = { host: '127.0.0.1', port: 0 }
      await using site: ServedSite = await createSite({
        ...config,
        ops: listen,
        audit: { file: join(dir.path, 'audit.log') },
        alarms: { file: join(dir.path, 'alarms.json') },
      })
      // What the devices of a BB84 link and a store with a standby write.
      const common = { linkId: 'bb84', localSiteId: 'site-a', remoteSiteId: 'site-b', blockSizeBytes: 32_000 }
      const state = new EndState({ ...common, bufferBlocks: 4, heartbeatMs: 1_000, telemetry: site.telemetry })
      state.showQber(0.03)
      site.telemetry.gauge('store_synchronous', {}, 1)
      const get = async (accept: string) => {
        const { port } = site.address.ops!
        return await (await fetch(`http://127.0.0.1:${port}/metrics`, { headers: { accept } })).text()
      }
      const alice = site.kmsFor('alice')
      const bob = sites.sites[1].kmsFor('bob')
      await until(async () => (await alice.getStatus('bob')).storedKeyCount > 0, 'keys are there', {
        timeoutMs: 30_000,
      })
      const [key] = await alice.getKey('bob')
      await bob.getKeyWithIds('alice', [key!.keyId])
      await alice.getKeyWithIds('bob', ['6f1b7fd0-61b5-4b0a-9ad9-9d8a6f6e8a11']).catch(() => {})
      const [back] = await bob.getKey('alice')
      await alice.getKeyWithIds('bob', [back!.keyId])
      site.telemetry.emit({ type: 'alarm', id: 'x', severity: 'minor', state: 'raised', text: 'x' })
      const whole = async () => {
        const names = [...samplesOn(await get('*/*')).keys()]
        return ['qkd_peer_clock_skew_seconds', 'qkd_pool_exhaustion_seconds', 'qkd_alarm_state'].every(name =>
          names.includes(name),
        )
      }
      await until(whole, 'every part has reported', { timeoutMs: 30_000 })
      const ofSite = await get('text/plain')
      const ofAgent = await agentPage()
      pages = [ofSite, ofAgent]
      samples = samplesOn(pages.join('\n'))
    })

    it('have every metric of rules and dashboard, with the labels that these name', () => {
      const asked: { where: string; expr: string; text: string }[] = [
        ...rules.map(({ alert, expr, annotations }) => ({
          where: alert,
          expr,
          text: Object.values(annotations).join(' '),
        })),
        ...dashboardQueries(),
      ]
      for (const { where, expr, text } of asked) {
        const found = metricsIn(expr)
        expect(found, where).to.not.deep.equal([])
        for (const { name, labels } of found) {
          expect([...samples.keys()], where).to.include(name)
          const said = [...text.matchAll(/\$labels\.([a-z_]+)|\{\{([a-z_]+)\}\}/g)].map(
            ([, one, other]) => one ?? other!,
          )
          for (const label of [...labels, ...said])
            expect([...samples.get(name)!], `${where}: ${name}`).to.include(label)
        }
      }
    })

    it('pass promtool’s check of metrics', async function () {
      const promtool = peerProgram(this, 'promtool', 'prometheus')
      for (const page of pages) {
        const checking = run(promtool, ['check', 'metrics'])
        checking.child.stdin!.end(page)
        const { stdout, stderr } = await checking
        expect(stdout + stderr).to.equal('')
      }
    })
  })

  it('shows Grafana a dashboard by its schema, and no panel over another', () => {
    const board = JSON.parse(readSource('docs/monitoring/grafana-dashboard.json').text)
    expect(board).to.deep.equal(grafanaDashboard())
    expect(board).to.include({ uid: 'qkdkit', schemaVersion: 39 })
    const taken = new Set<string>()
    const ids = new Set<number>()
    for (const { id, type, title, description, gridPos, datasource, targets, fieldConfig } of board.panels) {
      ids.add(id)
      expect(['timeseries', 'stat', 'table']).to.include(type)
      for (const text of [title, description]) expect(text).to.be.a('string').with.length.above(3)
      expect(datasource).to.deep.equal({ type: 'prometheus', uid: '$datasource' })
      expect(fieldConfig.defaults.thresholds.steps[0]).to.deep.equal({ color: 'green', value: null })
      expect(gridPos.x + gridPos.w).to.be.at.most(24)
      expect(new Set(targets.map(({ refId }: { refId: string }) => refId)).size).to.equal(targets.length)
      for (let column = gridPos.x; column < gridPos.x + gridPos.w; column += 1) {
        const place = `${column} ${gridPos.y}`
        expect(taken.has(place), `${title} at ${place}`).to.equal(false)
        taken.add(place)
      }
    }
    expect(ids.size).to.equal(board.panels.length)
  })
})

/** What a Kerberos agent tells of its principals. */
async function agentPage(): Promise<string> {
  await using local = await createTestSites()
  const telemetry = new TelemetryHub()
  const terms = { principal: 'krbtgt/B@A', enctypes: [20] as const, wraps: false }
  await using pair = await createAgentPair([
    { kms: local.alice, telemetry, rotates: true, principals: [{ ...terms, role: 'issuer', peerSaeId: 'bob' }] },
    { kms: local.bob, principals: [{ ...terms, role: 'acceptor', peerSaeId: 'alice' }] },
  ])
  using metrics = new SiteMetrics(telemetry, { sae: 'alice' })
  await until(() => metrics.text().includes('qkd_kerberos_kvno_limit'), 'a version is in use', { timeoutMs: 30_000 })
  expect(pair.agents[0].status().principals[0]!.current).to.not.equal(null)
  return metrics.text('plain')
}

function dashboardQueries(): { where: string; expr: string; text: string }[] {
  const { panels } = grafanaDashboard() as {
    panels: { title: string; targets: { expr: string; legendFormat: string }[] }[]
  }
  return panels.flatMap(({ title, targets }) =>
    targets.map(({ expr, legendFormat }) => ({ where: title, expr, text: legendFormat })),
  )
}
