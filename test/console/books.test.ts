import { expect } from 'chai'
import { AlarmBook } from '../../lib/console/alarm-book.ts'
import { createConsoleFeed } from '../../lib/console/console-feed.ts'
import { HistoryRing } from '../../lib/console/history-ring.ts'
import { HourTally } from '../../lib/console/hour-tally.ts'
import { InterruptionLog } from '../../lib/console/interruption-log.ts'
import { IncidentBook } from '../../lib/console/kept-alarms.ts'
import type { ConsoleSections } from '../../lib/console/sections.ts'
import { SessionBook } from '../../lib/console/session-book.ts'
import type { ConsoleView } from '../../lib/console/site-view.ts'
import type { TelemetryEvent } from '../../lib/interface/telemetry.ts'
import { until } from '../helpers/until.ts'

const MINUTE_MS = 60_000
const T0 = Date.UTC(2026, 0, 1)

describe('HourTally', () => {
  it('forgets after an hour, minute by minute', () => {
    let nowMs = T0
    const tally = new HourTally<string>({ most: 10, now: () => nowMs })
    tally.add('a', 'a', { amount: 5 })
    nowMs += 30 * MINUTE_MS
    tally.add('a', 'a', { count: 2, amount: 7 })
    expect(tally.rows()).to.deep.equal([{ what: 'a', count: 3, amount: 12, lastFiveMinutes: 2 }])
    nowMs += 29 * MINUTE_MS
    expect(tally.rows()[0]).to.include({ count: 3, lastFiveMinutes: 0 })
    nowMs += MINUTE_MS
    expect(tally.rows()[0]).to.include({ count: 2, amount: 7 })
    nowMs += 30 * MINUTE_MS
    expect(tally.rows()).to.deep.equal([])
  })

  it('counts names beyond its bound together, and takes new ones when old ones are over', () => {
    let nowMs = T0
    const tally = new HourTally<string>({ most: 2, now: () => nowMs })
    for (const name of ['a', 'b', 'c', 'd']) tally.add(name, name, { amount: 1 })
    expect(tally.rows().map(({ what }) => what)).to.deep.equal(['a', 'b'])
    expect(tally.rest()).to.deep.equal({ count: 2, amount: 2 })
    nowMs += 61 * MINUTE_MS
    tally.add('c', 'c', { amount: 1 })
    expect(tally.rows().map(({ what }) => what)).to.deep.equal(['c'])
    expect(tally.rest()).to.deep.equal({ count: 0, amount: 0 })
  })
})

describe('HistoryRing', () => {
  it('keeps the newest samples in order, and marks what a series lacks', () => {
    const ring = new HistoryRing({ stepMs: 10, length: 3, mostSeries: 2 })
    ring.add(1, { a: 10 })
    ring.add(2, { a: 20, b: 1 })
    ring.add(3, { b: 2, c: 9 })
    ring.add(4, { a: 40, b: 3 })
    expect(ring.toJson()).to.deep.equal({ stepMs: 10, atMs: [2, 3, 4], series: { a: [20, -1, 40], b: [1, 2, 3] } })
  })
})

describe('InterruptionLog', () => {
  it('has a time for each change of state, and none for what is said again', () => {
    const log = new InterruptionLog({ now: () => 100 })
    const link = { kind: 'link', name: 'a-b' } as const
    log.note(link, 'up', { atMs: 1 })
    log.note(link, 'down', { atMs: 10, reason: 'cut' })
    log.note(link, 'down', { atMs: 11 })
    log.note(link, 'degraded', { atMs: 20 })
    log.note(link, 'up', { atMs: 30 })
    log.note(link, 'down', { atMs: 40 })
    expect(log.rows()).to.deep.equal([
      { ...link, state: 'down', fromMs: 40 },
      { ...link, state: 'degraded', fromMs: 20, toMs: 30 },
      { ...link, state: 'down', fromMs: 10, toMs: 20, reason: 'cut' },
    ])
  })

  it('forgets what was over an hour ago, and keeps what lasts', () => {
    let nowMs = 0
    const log = new InterruptionLog({ now: () => nowMs })
    log.note({ kind: 'site', name: 'a' }, 'down', { atMs: 0 })
    log.note({ kind: 'site', name: 'b' }, 'down', { atMs: 0 })
    log.note({ kind: 'site', name: 'b' }, 'up', { atMs: 5 })
    nowMs = 61 * MINUTE_MS
    expect(log.rows().map(({ name }) => name)).to.deep.equal(['a'])
  })

  it('holds only so many', () => {
    const log = new InterruptionLog({ now: () => 1 })
    for (let at = 0; at < 2_000; at++) log.note({ kind: 'link', name: String(at) }, 'down', { atMs: 1 })
    expect(log.rows()).to.have.length(300)
  })
})

describe('AlarmBook', () => {
  it('keeps the time of an alarm that is raised again, puts the worst first, and shows what is over', () => {
    const book = new AlarmBook({ now: () => 50 })
    const alarm = { type: 'alarm', state: 'raised', text: 'x' } as const
    book.take({ ...alarm, id: 'a', severity: 'minor' }, 1)
    book.take({ ...alarm, id: 'b', severity: 'critical' }, 2)
    book.take({ ...alarm, id: 'a', severity: 'major', text: 'y' }, 3)
    expect(book.section().standing).to.deep.equal([
      { id: 'b', severity: 'critical', text: 'x', raisedAtMs: 2 },
      { id: 'a', severity: 'major', text: 'y', raisedAtMs: 1 },
    ])
    book.take({ ...alarm, id: 'b', severity: 'critical', state: 'cleared' }, 4)
    book.take({ ...alarm, id: 'never', severity: 'critical', state: 'cleared' }, 4)
    expect(book.section().over).to.deep.equal([
      { id: 'b', severity: 'critical', text: 'x', raisedAtMs: 2, clearedAtMs: 4 },
    ])
  })
})

describe('IncidentBook', () => {
  it('shows an incident until it is released, the worse while a site does not know of it', () => {
    const book = new IncidentBook()
    const incident = { type: 'incident', id: 'I-1', selector: 'link a-b', originSiteId: 'site-a' } as const
    book.take({ ...incident, state: 'held', untold: ['site-b'] }, 1)
    expect(book.rows()[0]).to.include({ severity: 'critical', raisedAtMs: 1 })
    book.take({ ...incident, state: 'invalidated', untold: [] }, 2)
    expect(book.rows()[0]).to.include({ severity: 'major', raisedAtMs: 1 })
    book.take({ ...incident, state: 'released', untold: [] }, 3)
    expect(book.rows()).to.deep.equal([])
  })
})

describe('SessionBook', () => {
  const receipt = { saeId: 'gw-a', peerSaeId: 'gw-b', use: 'strongswan berlin-hamburg', atMs: 5 }

  it('has one key for each session, the oldest first, until the host retires it', () => {
    const book = new SessionBook()
    const take = (event: TelemetryEvent) => book.take(event, 100)
    take({ type: 'key-in-use', ...receipt, keyId: 'k1' })
    take({ type: 'key-in-use', ...receipt, keyId: 'k2', atMs: 9 })
    take({ type: 'key-in-use', ...receipt, use: 'kerberos', keyId: 'k3', atMs: 7 })
    take({ type: 'key-retired', ...receipt, keyId: 'k1' })
    const { rows, counts } = book.section()
    expect(rows.map(({ session, keyId, keyedAtMs }) => [session, keyId, keyedAtMs])).to.deep.equal([
      ['gw-a – gw-b', 'k3', 7],
      ['berlin-hamburg', 'k2', 9],
    ])
    expect(counts.map(({ integration, inUse }) => [integration, inUse])).to.deep.equal([
      ['kerberos', 1],
      ['strongswan', 1],
    ])
    take({ type: 'key-retired', ...receipt, keyId: 'k2' })
    expect(book.section().rows).to.have.length(1)
  })

  it('says of a rotation that failed why the key is still the old one', () => {
    const book = new SessionBook()
    const rotation = { type: 'rotation', integration: 'strongswan', peer: 'gw-b' } as const
    book.take({ ...rotation, keyId: 'k1', outcome: 'in-use' }, 1)
    book.take({ ...rotation, keyId: 'k2', outcome: 'failed', reason: 'no key' }, 2)
    expect(book.section().rows[0]).to.include({ keyId: 'k1', failure: 'no key' })
    expect(book.section().counts[0]).to.include({ inUse: 1, failing: 1 })
    book.take({ ...rotation, keyId: 'k3', outcome: 'in-use' }, 3)
    expect(book.section().rows[0]).to.not.have.property('failure')
  })

  it('holds only so many', () => {
    const book = new SessionBook()
    for (let at = 0; at < 3_000; at++) book.take({ type: 'key-in-use', ...receipt, use: `tls ${at}`, keyId: 'k' }, 1)
    expect(book.section().counts[0]!.inUse).to.equal(2_000)
    expect(book.section().rows).to.have.length(200)
  })
})

describe('createConsoleFeed', () => {
  it('sends what has changed and nothing else, and everything again after somebody came new', async () => {
    let plan = 1
    let looks = 0
    const view = {
      refresh: async () => {
        looks += 1
      },
      sections: () => ({ plan: { epoch: plan }, interruptions: [] }) as unknown as ConsoleSections,
      sample: () => ({ a: 1 }),
      [Symbol.dispose]: () => {},
    } satisfies ConsoleView
    await using feed = createConsoleFeed({ view, periodMs: 5 })
    const deltas: Record<string, unknown>[] = []
    const leave = feed.subscribe(frame => {
      const [, json] = /^event: delta\ndata: (.*)\n\n$/.exec(frame) ?? []
      if (json !== undefined) deltas.push(JSON.parse(json).sections)
    })
    await until(() => deltas.length >= 3, 'deltas come')
    expect(deltas[0]).to.have.keys('plan', 'interruptions')
    expect(deltas[2]).to.deep.equal({})
    plan = 2
    const from = deltas.length
    await until(() => deltas.slice(from).some(each => 'plan' in each), 'the change comes')
    expect(deltas.slice(from).filter(each => 'interruptions' in each)).to.deep.equal([])
    expect(JSON.parse(/data: (.*)\n/.exec(await feed.hello())![1]!)).to.deep.include({
      sections: { plan: { epoch: 2 }, interruptions: [] },
    })
    const after = deltas.length
    await until(() => deltas.slice(after).some(each => 'interruptions' in each), 'everything comes again')
    leave()
    const seen = looks
    await new Promise(resolve => setTimeout(resolve, 50))
    expect(looks - seen).to.be.at.most(1)
  })
})
