import { createMemoryChannelPair } from '../../lib/channel/memory-channel.ts'
import { LinkDownError, QkdError } from '../../lib/errors.ts'
import type { AuditEntry, AuditLog } from '../../lib/interface/audit.ts'
import type { GetKeyOptions, SecurityLevel } from '../../lib/interface/kms.ts'
import type { MessageChannel } from '../../lib/interface/message-channel.ts'
import type { PolicyFile } from '../../lib/interface/policy.ts'
import type { TelemetryEvent } from '../../lib/interface/telemetry.ts'
import { SiteKms } from '../../lib/kms/site-kms.ts'
import { MemorySlots } from '../../lib/kms/store/memory-slots.ts'
import { MemoryPoolStore } from '../../lib/kms/store/memory-store.ts'
import { EventCounters } from '../../lib/metrics/event-counters.ts'
import { createSimulatedLinkPair } from '../../lib/qll/simulated-link-pair.ts'
import { DirectQnl } from '../../lib/qnl/direct-qnl.ts'
import { DEFAULT_KEYS, DEFAULT_POOL } from '../../lib/site.ts'
import { TelemetryHub } from '../../lib/telemetry.ts'
import { until } from './until.ts'

const RATE_BPS = 200_000_000
const SITE_IDS = ['site-a', 'site-b'] as const

/** An audit log that a test reads. */
export class MemoryAudit implements AuditLog {
  readonly entries: AuditEntry[] = []

  async record(entry: AuditEntry): Promise<void> {
    this.entries.push(entry)
  }

  async close(): Promise<void> {}
  async [Symbol.asyncDispose](): Promise<void> {}
}

/** A site as a test looks into it. */
export interface WatchedSite {
  readonly kms: SiteKms
  readonly audit: MemoryAudit
  readonly counters: EventCounters
  readonly events: TelemetryEvent[]
}

/** How the sites are made. */
export interface CuttableSitesOptions {
  readonly targetBlocks?: number
  /** The lowest level that Alice is registered with. Default none. */
  readonly minLevel?: SecurityLevel
}

/** Alice's site and Bob's, whose fibre and whose connection between the KMSs a test can cut. */
export class CuttableSites implements AsyncDisposable {
  readonly sites: readonly [WatchedSite, WatchedSite]
  readonly #links: ReturnType<typeof createSimulatedLinkPair>
  readonly #wire: Wire
  readonly #close: () => Promise<void>

  private constructor(
    sites: readonly [WatchedSite, WatchedSite],
    links: ReturnType<typeof createSimulatedLinkPair>,
    wire: Wire,
    close: () => Promise<void>,
  ) {
    this.sites = sites
    this.#links = links
    this.#wire = wire
    this.#close = close
  }

  static async open(
    policies: readonly [PolicyFile, PolicyFile],
    { targetBlocks = 2, minLevel }: CuttableSitesOptions = {},
  ): Promise<CuttableSites> {
    const links = createSimulatedLinkPair({ linkId: 'a-b', siteIds: SITE_IDS, rateBps: RATE_BPS, bufferBlocks: 1 })
    const wire: Wire = { channels: [], isCut: false }
    const closables: { close(): Promise<void> }[] = []
    const open = async (at: 0 | 1, dial?: () => Promise<MessageChannel>): Promise<WatchedSite> => {
      const telemetry = new TelemetryHub()
      const watched = { audit: new MemoryAudit(), counters: new EventCounters(), events: [] as TelemetryEvent[] }
      telemetry.subscribe(event => {
        watched.counters.count(event)
        watched.events.push(event)
      })
      const qnl = new DirectQnl({ siteId: SITE_IDS[at], links: [links[at]], telemetry })
      const registered = (place: 0 | 1) => ({
        siteId: SITE_IDS[place],
        kmeId: `kme-${place}`,
        saeIds: [place === 0 ? 'alice' : 'bob'],
        ...(minLevel && place === 0 && { minLevels: new Map([['alice', minLevel]]) }),
      })
      const kms = await SiteKms.open({
        local: registered(at),
        peers: [{ ...registered(at === 0 ? 1 : 0), ...(dial && { dial }) }],
        qnl,
        store: new MemoryPoolStore(),
        slots: new MemorySlots(),
        pool: { ...DEFAULT_POOL, targetBlocks, demandBps: RATE_BPS, maxWaitMs: 10_000 },
        keys: DEFAULT_KEYS,
        policy: policies[at],
        audit: watched.audit,
        telemetry,
      })
      closables.push(kms, qnl, links[at])
      return { kms, ...watched }
    }
    const far = await open(1)
    const near = await open(0, async () => {
      if (wire.isCut) throw new LinkDownError('The test has cut the connection')
      const [ours, theirs] = createMemoryChannelPair(['kme-0', 'kme-1'])
      wire.channels.push(ours, theirs)
      far.kms.accept(theirs)
      return ours
    })
    return new CuttableSites([near, far], links, wire, async () => {
      for (const closable of closables) await closable.close()
    })
  }

  cutFibre(): void {
    this.#links[0].interrupt()
  }

  mendFibre(): void {
    this.#links[0].restore()
  }

  /** Cuts what the two KMSs speak over; it stays cut. */
  async cutConnection(): Promise<void> {
    this.#wire.isCut = true
    await Promise.all(this.#wire.channels.map(channel => channel.close()))
    await until(() => this.sites.every(({ kms }) => !kms.status()[0]!.connected), 'both sites saw the cut')
  }

  /**
   * Takes Alice's keys down to `cells` that are left, asking as `options` say; the fibre must be cut. Blocks that were on their way
   * through it are drained too.
   */
  async drain(cells: number, options: GetKeyOptions): Promise<void> {
    const { kms } = this.sites[0]
    const alice = kms.kmsFor('alice')
    const stock = () => kms.status()[0]!.issuableCells
    const isRefused = (number: number, sizeBits: number) =>
      alice.getKey('bob', { ...options, number, sizeBits, timeoutMs: 300 }).then(() => false, isExhausted)
    for (;;) {
      const left = stock() - cells
      if (left >= 64) await isRefused(Math.floor(left / 16), 4096)
      else if (left > 0) await isRefused(left, 256)
      // More than there is: what is still to come has the time of this wait to come.
      else if ((await isRefused(120, 4096)) && stock() <= cells) return
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#close()
  }
}

function isExhausted(error: unknown): true {
  if (error instanceof QkdError && error.code === 'ERR_QKD_POOL_EXHAUSTED') return true
  throw error
}

interface Wire {
  readonly channels: MessageChannel[]
  isCut: boolean
}
