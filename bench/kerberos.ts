/**
 * Tickets of MIT's KDC on its own database beside the same KDC that takes the trust's key from an agent, in one run:
 * requests a second, how long each took, and processor time of krb5kdc; for the KDC that issues the cross-realm ticket and
 * for the one that accepts it. Then whole rotations of mode setup. Needs Debian's krb5-kdc, krb5-admin-server, krb5-user,
 * libkrb5-dev, gcc and make.
 */
import type { TicketGrant } from '../integrations/kerberos/messages/tgs-req.ts'
import { readCredentialCache } from '../test/helpers/credential-cache.ts'
import { createTestRealms, type TestRealm, type TestRealms } from '../test/helpers/kdc-realm.ts'
import { createPluginRealms, rotate } from '../test/helpers/plugin-realms.ts'
import { requestTicket } from '../test/helpers/tgs-client.ts'
import { measureRotations } from './kerberos/setup-rotations.ts'
import { type LoadTarget, loadKdc } from './kerberos/tgs-load.ts'
import { type BenchOptions, cpuTimeMs, median, percentile, type Report } from './report.ts'

const TRUST = 'krbtgt/B.QKD@A.QKD'
const SERVICE = 'HTTP/host-b.test@B.QKD'

/** Runs the suite. */
export async function run(report: Report, { quick }: BenchOptions): Promise<void> {
  const [rounds, requests] = quick ? [2, 300] : [40, 500]
  await using stock = await createTestRealms()
  await using plugin = await createPluginRealms()
  for (const realm of stock.realms) await realm.kadmin(`addprinc -pw trust-pw ${TRUST}`)
  for (const at of [0, 1]) {
    await plugin.addPoolPrincipal(at, TRUST)
    await plugin.startAgent(at)
  }
  rotate({ issuer: plugin.agents[0]!.table, acceptors: [plugin.agents[1]!.table] }, TRUST)
  const subjects = { stock: await prepare(stock), plugin: await prepare(plugin) }
  for (const [role, what] of [
    ['issuer', 'issuing'],
    ['acceptor', 'accepting'],
  ] as const) {
    await compare(report, what, { rounds, requests, a: subjects.plugin[role], b: subjects.stock[role] })
  }
  const [a, b] = stock.realms as readonly [TestRealm, TestRealm]
  for (const realm of [a, b]) await realm.kadmin(`delprinc -force ${TRUST}`)
  for (const realm of [a, b]) await realm.kadmin(`addprinc -nokey ${TRUST}`)
  const timesMs = await measureRotations([a, b], { trust: TRUST, count: quick ? 5 : 60 })
  const samples = timesMs.length
  report({ metric: 'rotations, mode setup', value: 1000 / median(timesMs), unit: '1/s', samples })
  report({ metric: 'a rotation, mode setup, p99', value: percentile(timesMs, 0.99), unit: 'ms', samples })
}

/** One KDC under load. */
interface Subject extends LoadTarget {
  readonly pid: number
}

/** The KDC that issues tickets under the trust, and the one that takes them. */
async function prepare(realms: TestRealms): Promise<{ issuer: Subject; acceptor: Subject }> {
  const [a, b] = realms.realms as readonly [TestRealm, TestRealm]
  await b.kadmin(`addprinc -randkey ${SERVICE}`)
  const client = realms.client()
  await client.kinit('alice', 'alice-pw')
  const grant = (await readCredentialCache(client.ccache)).find(({ server }) => server === 'krbtgt/A.QKD@A.QKD')
  const cross: TicketGrant = await requestTicket(a.port, grant!, TRUST)
  return {
    issuer: { port: a.port, pid: a.pid!, grant: grant!, service: TRUST },
    acceptor: { port: b.port, pid: b.pid!, grant: cross, service: SERVICE },
  }
}

interface Comparison {
  readonly rounds: number
  readonly requests: number
  readonly a: Subject
  readonly b: Subject
}

async function compare(report: Report, what: string, { rounds, requests, a, b }: Comparison): Promise<void> {
  const samples = { a: newSamples(), b: newSamples() }
  for (const [subject, into] of [
    [a, newSamples()],
    [b, newSamples()],
  ] as const) {
    // The first requests load code and fill caches.
    await measure(subject, 100, into)
  }
  for (let round = 0; round < rounds; round += 1) {
    const order = round % 2 === 0 ? (['a', 'b'] as const) : (['b', 'a'] as const)
    for (const name of order) await measure(name === 'a' ? a : b, requests, samples[name])
  }
  const [plugin, stock] = [samples.a, samples.b]
  const figure = (metric: string, unit: string, of: (from: Samples) => readonly number[]) => {
    const ratio = median(of(plugin).map((value, round) => value / of(stock)[round]!))
    const value = median(of(plugin))
    report({
      metric: `${metric}, ${what}`,
      value,
      unit,
      baseline: median(of(stock)),
      ratio,
      samples: rounds * requests,
    })
  }
  figure('TGS requests', '1/s', from => from.rates)
  figure('a TGS request p50', 'ms', from => from.p50)
  figure('a TGS request p99', 'ms', from => from.p99)
  figure('krb5kdc CPU of a request', 'us', from => from.cpuUs)
}

/** What each round came to. */
interface Samples {
  readonly rates: number[]
  readonly p50: number[]
  readonly p99: number[]
  readonly cpuUs: number[]
}

function newSamples(): Samples {
  return { rates: [], p50: [], p99: [], cpuUs: [] }
}

async function measure(subject: Subject, requests: number, into: Samples): Promise<void> {
  const before = cpuTimeMs(subject.pid) ?? Number.NaN
  const { perSecond, latenciesMs } = await loadKdc(subject, requests)
  const after = cpuTimeMs(subject.pid) ?? Number.NaN
  into.rates.push(perSecond)
  into.p50.push(percentile(latenciesMs, 0.5))
  into.p99.push(percentile(latenciesMs, 0.99))
  into.cpuUs.push(((after - before) * 1000) / requests)
}
