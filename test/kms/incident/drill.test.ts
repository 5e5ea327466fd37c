import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'chai'
import { createMemoryChannelPair } from '../../../lib/channel/memory-channel.ts'
import type { IncidentSelector } from '../../../lib/interface/incident.ts'
import type { Key, SecurityLevel } from '../../../lib/interface/kms.ts'
import type { MessageChannel } from '../../../lib/interface/message-channel.ts'
import { AuditFile } from '../../../lib/kms/audit/audit-file.ts'
import type { AuditLine } from '../../../lib/kms/audit/audit-line.ts'
import { type AffectedKey, type BlastRadius, BlastRadiusSearch } from '../../../lib/kms/incident/blast-radius.ts'
import { SiteKms } from '../../../lib/kms/site-kms.ts'
import { MemorySlots } from '../../../lib/kms/store/memory-slots.ts'
import { MemoryPoolStore } from '../../../lib/kms/store/memory-store.ts'
import { DEFAULT_KEYS, DEFAULT_POOL } from '../../../lib/site.ts'
import { TelemetryHub } from '../../../lib/telemetry.ts'
import { readFrame, watchedChannel } from '../../helpers/frame-log.ts'
import { rejectsWith } from '../../helpers/rejects-with.ts'
import { createRelayNetwork, type RelayNetwork } from '../../helpers/relay-network.ts'
import { createTempDir } from '../../helpers/temp-dir.ts'
import { until } from '../../helpers/until.ts'

const HOSTS = { a: ['alice', 'anna'], b: ['bob', 'bea'] } as const
type End = keyof typeof HOSTS
const ENDS = ['a', 'b'] as const

/** A transfer as it was seen on its way: by the messages themselves, and by nothing that the sites wrote. */
interface Sighting {
  readonly transfer: string
  readonly hop: string
  readonly share: number
  readonly atMs: number
}

/** What crosses the network, and which number each transfer got; numbers of messages are written down here a second time. */
class Recorder {
  readonly sightings: Sighting[] = []
  readonly #numbers = new Map<string, string>()
  lastMs = performance.now()

  see(message: Uint8Array, from: string, to: string): void {
    const frame = readFrame(message, from, to)
    const hop = [from, to].sort().join('-')
    for (const { source, transfer, share } of frame?.chunks ?? []) {
      this.lastMs = performance.now()
      this.sightings.push({ transfer: `${source} ${transfer}`, hop, share, atMs: Date.now() })
    }
    const view = Buffer.from(message)
    // `done` of a sender that numbers, `numbered` of a taker that does: the end that sorts first, a, gives the numbers.
    if (view[0] === 9 && from === 'a') this.#numbers.set(`a ${view.readBigUInt64BE(1)}`, `${view.readBigUInt64BE(9)}`)
    if (view[0] === 10 && from === 'a') this.#numbers.set(`b ${view.readBigUInt64BE(1)}`, `${view.readBigUInt64BE(9)}`)
  }

  /** Numbers of the blocks of which `seen` holds for some sighting. */
  blocks(seen: (sighting: Sighting) => boolean): Set<string> {
    const transfers = this.sightings.filter(seen).map(({ transfer }) => this.#numbers.get(transfer))
    return new Set(transfers.filter(number => number !== undefined))
  }

  /** Nothing is on its way. */
  quiet(): Promise<void> {
    return until(() => performance.now() - this.lastMs > 400, 'nothing is on its way', { timeoutMs: 60_000 })
  }
}

/** A key as the test took it, and the block that it came from by the bits that the other site's store set for it. */
interface TakenKey {
  readonly keyId: string
  readonly level: SecurityLevel
  readonly block: string
  readonly pair: string
}

/** Two sites over two relays, a recorder on every wire, both audit logs on disk. */
class Drill implements AsyncDisposable {
  readonly recorder = new Recorder()
  readonly keys: TakenKey[] = []
  readonly stores = { a: new MemoryPoolStore(), b: new MemoryPoolStore() }
  network!: RelayNetwork
  readonly kms = {} as Record<End, SiteKms>
  readonly logs = {} as Record<End, string>
  #audits: AuditFile[] = []
  #channels: MessageChannel[] = []
  #dir!: Awaited<ReturnType<typeof createTempDir>>
  isCut = false

  static async open(): Promise<Drill> {
    const drill = new Drill()
    drill.#dir = await createTempDir()
    drill.network = await createRelayNetwork({
      links: ['a-x', 'b-x', 'a-y', 'b-y'],
      rateBps: 40_000_000,
      limits: { readyBlocks: 1 },
      tap: (channel, from, to) => watchedChannel(channel, message => drill.recorder.see(message, from, to)),
    })
    for (const siteId of ['b', 'a'] as const) {
      drill.logs[siteId] = join(drill.#dir.path, `${siteId}.log`)
      const audit = await AuditFile.open(drill.logs[siteId], { siteId })
      drill.#audits.push(audit)
      drill.kms[siteId] = await drill.#openKms(siteId, audit)
    }
    return drill
  }

  /** Takes keys at one end, and fetches those at the other that shall not wait; notes each with its block. */
  async take(
    [master, slave]: [string, string],
    { number = 1, level = 'quantum', fetch = true }: { number?: number; level?: SecurityLevel; fetch?: boolean } = {},
  ): Promise<Key[]> {
    const issuer = (HOSTS.a as readonly string[]).includes(master) ? 'a' : 'b'
    const keys = await this.kms[issuer]
      .kmsFor(master)
      .getKey(slave, { number, level, sizeBits: 4096, timeoutMs: 60_000 })
    if (fetch) await this.fetch([master, slave], keys)
    return keys
  }

  async fetch([master, slave]: [string, string], keys: readonly Key[]): Promise<void> {
    const issuer = (HOSTS.a as readonly string[]).includes(master) ? 'a' : 'b'
    const other = issuer === 'a' ? 'b' : 'a'
    for (const { keyId, level } of keys) {
      const before = await this.#consumed(other)
      await this.kms[other].kmsFor(slave).getKeyWithIds(master, [keyId])
      const after = await this.#consumed(other)
      const block = [...after].find(([number, bits]) => before.has(number) && before.get(number) !== bits)?.[0]
      const gone = [...before.keys()].find(number => !after.has(number))
      this.keys.push({ keyId, level: level!, block: block ?? gone!, pair: [master, slave].sort().join(' ') })
    }
  }

  report(selector: IncidentSelector, ends: readonly End[] = ENDS): BlastRadius {
    const search = new BlastRadiusSearch(selector)
    for (const end of ends) for (const line of this.lines(end)) search.add(line)
    return search.result()
  }

  lines(end: End): AuditLine[] {
    const lines = readFileSync(this.logs[end], 'utf8').trimEnd().split('\n')
    return lines.map(line => JSON.parse(line) as AuditLine)
  }

  /** Ends the channel between the two sites for as long as it is cut. */
  async cut(): Promise<void> {
    this.isCut = true
    for (const channel of this.#channels) await channel.close()
    await until(() => ENDS.every(end => !this.kms[end].status()[0]!.connected), 'both have seen the cut')
  }

  mend(): void {
    this.isCut = false
  }

  async filled(): Promise<void> {
    const isFull = () =>
      ENDS.every(end => this.kms[end].status().every(({ blocks }) => blocks.active + blocks.ready >= 6))
    await until(isFull, 'the pools are full', { timeoutMs: 60_000 })
    await this.recorder.quiet()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const end of ENDS) await this.kms[end].close()
    for (const audit of this.#audits) await audit.close()
    await this.network[Symbol.asyncDispose]()
    await this.#dir[Symbol.asyncDispose]()
  }

  #openKms(siteId: End, audit: AuditFile): Promise<SiteKms> {
    const other = siteId === 'a' ? 'b' : 'a'
    const dial = async () => {
      if (this.isCut) throw new Error('The other site does not answer')
      const [ours, theirs] = createMemoryChannelPair(['kme-a', 'kme-b'])
      this.#channels = [ours, theirs]
      this.kms.b.accept(theirs)
      return ours
    }
    return SiteKms.open({
      local: { siteId, kmeId: `kme-${siteId}`, saeIds: HOSTS[siteId] },
      peers: [{ siteId: other, kmeId: `kme-${other}`, saeIds: HOSTS[other], ...(siteId === 'a' && { dial }) }],
      qnl: this.network.node(siteId),
      store: this.stores[siteId],
      slots: new MemorySlots(),
      pool: { ...DEFAULT_POOL, targetBlocks: 6, minBlocks: 6, maxWaitMs: 60_000, demandBps: 40_000_000 },
      keys: DEFAULT_KEYS,
      audit,
      telemetry: new TelemetryHub(),
    })
  }

  async #consumed(end: End): Promise<Map<string, string>> {
    const { blocks } = await this.stores[end].snapshot('a|b')
    const ready = blocks.filter(({ ownerSiteId, state }) => ownerSiteId !== end && state === 'ready')
    return new Map(ready.map(({ number, consumed }) => [`${number}`, Buffer.from(consumed).toString('hex')]))
  }
}

const idsOf = (keys: readonly { keyId: string }[]) => keys.map(({ keyId }) => keyId).sort()

describe('an incident drill', function () {
  this.timeout(240_000)
  let drill: Drill
  /** The hour in which relay x was open. */
  let hour: { sinceMs: number; untilMs: number }

  before(async () => {
    drill = await Drill.open()
    const { network } = drill
    // Before the hour: over x.
    network.plan({ paths: ['a-x-b'], mode: 'single' })
    await drill.filled()
    await drill.take(['alice', 'bob'], { number: 2 })
    await drill.take(['bob', 'alice'], { number: 2, level: 'hybrid' })
    // In the hour: over x, over y, and as shares over both.
    const sinceMs = Date.now()
    for (const plan of [
      { paths: ['a-x-b'], mode: 'single' as const },
      { paths: ['a-y-b'], mode: 'single' as const },
      { paths: ['a-x-b', 'a-y-b'], mode: 'split' as const },
    ]) {
      network.plan(plan)
      for (let round = 0; round < 4; round += 1) {
        for (const pair of [
          ['alice', 'bob'],
          ['bob', 'alice'],
        ] as [string, string][]) {
          await drill.kms[pair[0] === 'alice' ? 'a' : 'b']
            .kmsFor(pair[0])
            .getKey(pair[1], { number: 60, sizeBits: 4096, timeoutMs: 60_000 })
          await drill.take(pair, { number: 2 })
          await drill.take(pair, { number: 2, level: 'hybrid' })
        }
        await drill.take(['anna', 'bea'], { number: 2 })
      }
      await drill.filled()
    }
    hour = { sinceMs, untilMs: Date.now() }
    // After it: over x again.
    await until(() => Date.now() > hour.untilMs + 1, 'the hour is over')
    network.plan({ paths: ['a-x-b'], mode: 'single' })
    for (let round = 0; round < 6; round += 1) {
      await drill.kms.a.kmsFor('alice').getKey('bob', { number: 60, sizeBits: 4096, timeoutMs: 60_000 })
      await drill.kms.b.kmsFor('bob').getKey('alice', { number: 60, sizeBits: 4096, timeoutMs: 60_000 })
    }
    await drill.take(['alice', 'bob'], { number: 4 })
    await drill.filled()
  })

  after(async () => {
    await drill?.[Symbol.asyncDispose]()
  })

  it('lists exactly the keys whose blocks crossed the relay in its hour, those that are safe all the same apart', () => {
    const { recorder, keys } = drill
    const { sinceMs, untilMs } = hour
    const radius = drill.report({ relay: 'x', ...hour })
    const inHour = ({ hop, atMs }: Sighting) => hop.includes('x') && atMs >= sinceMs && atMs <= untilMs
    const crossed = recorder.blocks(inHour)
    const shared = recorder.blocks(({ hop, share }) => hop.includes('y') && share >= 0)
    const expected = keys.filter(({ block }) => crossed.has(block))
    const known = new Set(idsOf(keys))
    const listed = radius.keys.filter(({ keyId }) => known.has(keyId))
    expect(expected.length, 'keys that crossed it').to.be.above(5)
    expect(keys.length - expected.length, 'keys that did not').to.be.above(5)
    expect(idsOf(listed)).to.deep.equal(idsOf(expected))
    const isSafe = ({ level, block }: TakenKey) => level === 'hybrid' || shared.has(block)
    const safe = (list: readonly AffectedKey[]) => idsOf(list.filter(({ isProtected }) => isProtected))
    expect(safe(listed)).to.deep.equal(idsOf(expected.filter(isSafe)))
    expect(expected.filter(isSafe).length).to.be.above(0)
    expect(expected.filter(key => !isSafe(key)).length).to.be.above(0)
    expect(new Set(listed.map(({ protectedBy }) => protectedBy))).to.deep.equal(new Set(['split', 'hybrid', undefined]))
    expect(radius.unknownKeyIds).to.deep.equal([])
    for (const { holders } of listed) expect(holders.every(holder => holder.sinceMs !== undefined)).to.equal(true)
  })

  it('lists the same by its two links, each for itself', () => {
    const radius = (selector: IncidentSelector) =>
      new Set(drill.report({ ...selector, ...hour }).keys.map(({ keyId }) => keyId))
    const ofRelay = radius({ relay: 'x' })
    expect(radius({ link: 'a-x' })).to.deep.equal(ofRelay)
    expect(radius({ link: 'x/b' })).to.deep.equal(ofRelay)
    expect(radius({ relay: 'x', link: 'a-y' }).size).to.equal(0)
  })

  it('lists the keys of a pair of hosts, which nothing protects at the hosts', () => {
    const mine = drill.keys.filter(({ pair }) => pair === 'anna bea')
    const { keys } = drill.report({ saePair: ['bea', 'anna'] })
    expect(idsOf(keys)).to.deep.equal(idsOf(mine))
    expect(keys.some(({ isProtected }) => isProtected)).to.equal(false)
  })

  it('holds what crossed the relay at both sites before the call returns, and nothing else', async () => {
    const crossed = drill.recorder.blocks(({ hop }) => hop.includes('x'))
    const waiting = await drill.take(['alice', 'bob'], { number: 3, fetch: false })
    const back = await drill.take(['bob', 'alice'], { number: 1, fetch: false })
    const view = await drill.kms.a.incidents.open({
      selector: { relay: 'x' },
      state: 'held',
      by: 'officer',
      reason: 'drill',
    })
    expect(view.sites).to.deep.equal([{ siteId: 'b', state: 'told', effect: view.sites[0]!.effect }])
    expect(view.effect.blocks).to.be.above(0)
    expect(view.sites[0]!.effect!.blocks).to.equal(view.effect.blocks)
    // Neither what was issued and not fetched, in both directions, nor fresh key of these blocks.
    await rejectsWith(drill.kms.b.kmsFor('bob').getKeyWithIds('alice', idsOf(waiting)), 'ERR_QKD_POLICY_DENIED')
    await rejectsWith(drill.kms.a.kmsFor('alice').getKeyWithIds('bob', idsOf(back)), 'ERR_QKD_POLICY_DENIED')
    expect(drill.kms.b.incidents.list().map(({ id, originSiteId }) => `${originSiteId} ${id}`)).to.deep.equal([
      `a ${view.id}`,
    ])
    // The pools fill again over the other relay, and what is given from now on never crossed this one.
    drill.network.plan({ paths: ['a-y-b'], mode: 'single' })
    const before = drill.keys.length
    await drill.take(['alice', 'bob'], { number: 3 })
    await drill.take(['bob', 'alice'], { number: 3, level: 'hybrid' })
    for (const { block } of drill.keys.slice(before)) expect(crossed.has(block), block).to.equal(false)
    await drill.kms.a.incidents.release(view.id, { by: 'officer' })
    expect(drill.kms.a.incidents.list()).to.deep.equal([])
    expect(drill.kms.b.incidents.list()).to.deep.equal([])
    await drill.fetch(['alice', 'bob'], waiting)
    await drill.fetch(['bob', 'alice'], back)
  })

  it('holds a pair of hosts and no other', async () => {
    const waiting = await drill.take(['anna', 'bea'], { fetch: false })
    const { id } = await drill.kms.b.incidents.open({
      selector: { saePair: ['anna', 'bea'] },
      state: 'held',
      by: 'officer',
    })
    await rejectsWith(drill.kms.b.kmsFor('bea').getKeyWithIds('anna', idsOf(waiting)), 'ERR_QKD_POLICY_DENIED')
    for (const [end, master, slave] of [
      ['a', 'anna', 'bea'],
      ['b', 'bea', 'anna'],
    ] as const)
      await rejectsWith(drill.kms[end].kmsFor(master).getKey(slave), 'ERR_QKD_POLICY_DENIED')
    await drill.take(['alice', 'bea'])
    await drill.take(['anna', 'bob'])
    await drill.kms.b.incidents.release(id, { by: 'officer' })
    await drill.fetch(['anna', 'bea'], waiting)
  })

  it('erases at both sites what was not delivered', async () => {
    const waiting = await drill.take(['alice', 'bob'], { number: 2, fetch: false })
    const liveAt = async (end: End) => {
      const { blocks } = await drill.stores[end].snapshot('a|b')
      return blocks.filter(({ slot }) => slot >= 0).map(({ number }) => number)
    }
    const before = new Set((await Promise.all(ENDS.map(liveAt))).flat())
    const view = await drill.kms.a.incidents.open({ selector: { pool: 'b' }, state: 'invalidated', by: 'officer' })
    expect(view.effect.erased + view.sites[0]!.effect!.erased).to.be.at.least(before.size)
    const left = (await Promise.all(ENDS.map(liveAt))).flat().filter(number => before.has(number))
    expect(left, 'blocks whose key is not destroyed').to.deep.equal([])
    await rejectsWith(drill.kms.b.kmsFor('bob').getKeyWithIds('alice', idsOf(waiting)), 'ERR_QKD_KEY_NOT_FOUND')
    await drill.kms.a.incidents.release(view.id, { by: 'officer' })
    await drill.take(['alice', 'bob'])
  })

  it('says where it could not hold, tells that site when it is back, and shows it in the list', async () => {
    await drill.cut()
    const view = await drill.kms.a.incidents.open({ selector: { pool: 'b' }, state: 'held', by: 'officer' })
    expect(view.sites).to.have.length(1)
    expect(view.sites[0]).to.include({ siteId: 'b', state: 'untold' })
    expect(view.sites[0]!.reason).to.include('cannot be reached')
    await rejectsWith(drill.kms.a.kmsFor('alice').getKey('bob'), 'ERR_QKD_POLICY_DENIED')
    expect(drill.kms.b.incidents.list()).to.deep.equal([])
    drill.mend()
    await until(() => drill.kms.b.incidents.list().length === 1, 'b was told')
    await until(() => drill.kms.a.incidents.list()[0]!.sites[0]!.state === 'told', 'a knows that it was')
    await drill.kms.a.incidents.release(view.id, { by: 'officer' })
  })

  it('writes all of it into the logs of both sites', () => {
    for (const end of ENDS) {
      const states = drill
        .lines(end)
        .filter(({ event }) => event === 'incident')
        .map(({ outcome }) => outcome)
      const once = ['held', 'released', 'held', 'released', 'invalidated', 'released', 'held', 'released']
      expect(states, end).to.deep.equal(once)
    }
  })
})
