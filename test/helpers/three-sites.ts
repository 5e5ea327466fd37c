import { createMemoryChannelPair } from '../../lib/channel/memory-channel.ts'
import type { AuditEntry, AuditLog } from '../../lib/interface/audit.ts'
import type { Kms } from '../../lib/interface/kms.ts'
import type { Link } from '../../lib/interface/link.ts'
import type { PolicyFile } from '../../lib/interface/policy.ts'
import type { PoolStore, SlotStore } from '../../lib/interface/pool-store.ts'
import type { TelemetryEvent } from '../../lib/interface/telemetry.ts'
import type { KeyLimits } from '../../lib/kms/policy/admission.ts'
import type { PoolLimits } from '../../lib/kms/pool/key-pool.ts'
import { SiteKms } from '../../lib/kms/site-kms.ts'
import { MemorySlots } from '../../lib/kms/store/memory-slots.ts'
import { MemoryPoolStore } from '../../lib/kms/store/memory-store.ts'
import { createSimulatedLinkPair } from '../../lib/qll/simulated-link-pair.ts'
import { DirectQnl } from '../../lib/qnl/direct-qnl.ts'
import { DEFAULT_KEYS, DEFAULT_POOL } from '../../lib/site.ts'
import { TelemetryHub } from '../../lib/telemetry.ts'
import { FaultPlan, withFaults } from './fault-store.ts'
import { TestClock } from './pool-pair.ts'
import { until } from './until.ts'

/** The hosts of each site. */
export const HOSTS = { 'site-a': ['alice', 'anna'], 'site-b': ['bob', 'bea'], 'site-c': ['carl', 'cleo'] } as const
export type SiteName = keyof typeof HOSTS
const NAMES = Object.keys(HOSTS) as SiteName[]

/** One site, with what survives its restarts and what a test sees of it. */
export interface MeshSite {
  kms: SiteKms
  readonly store: PoolStore
  readonly slots: SlotStore
  readonly faults: FaultPlan
  readonly audit: AuditEntry[]
  readonly events: TelemetryEvent[]
  readonly clock: TestClock
}

export interface ThreeSitesOptions {
  readonly pool?: Partial<PoolLimits>
  readonly keys?: Partial<KeyLimits>
  readonly policies?: Partial<Record<SiteName, PolicyFile>>
}

/** Three whole sites in this process, each joined with both others by a link and a channel; any may be killed and opened again. */
export class ThreeSites implements AsyncDisposable {
  readonly sites = {} as Record<SiteName, MeshSite>
  readonly #options: ThreeSitesOptions
  readonly #qnls = {} as Record<SiteName, DirectQnl>
  readonly #closables: { close(): Promise<void> }[] = []
  readonly #dead = new Set<SiteName>()

  private constructor(options: ThreeSitesOptions) {
    this.#options = options
  }

  static async open(options: ThreeSitesOptions = {}): Promise<ThreeSites> {
    const mesh = new ThreeSites(options)
    const links: Record<SiteName, Link[]> = { 'site-a': [], 'site-b': [], 'site-c': [] }
    for (const [a, b] of [
      ['site-a', 'site-b'],
      ['site-a', 'site-c'],
      ['site-b', 'site-c'],
    ] as const) {
      const [near, far] = createSimulatedLinkPair({ linkId: `${a}-${b}`, siteIds: [a, b], rateBps: 100_000_000 })
      links[a].push(near)
      links[b].push(far)
      mesh.#closables.push(near, far)
    }
    for (const siteId of NAMES) {
      mesh.#qnls[siteId] = new DirectQnl({ siteId, links: links[siteId] })
      const faults = new FaultPlan()
      const kept = withFaults({ store: new MemoryPoolStore(), slots: new MemorySlots() }, faults)
      mesh.sites[siteId] = { ...kept, faults, audit: [], events: [], clock: new TestClock() } as unknown as MeshSite
    }
    // Those that are dialled first.
    for (const siteId of NAMES.toReversed()) mesh.sites[siteId].kms = await mesh.#openKms(siteId)
    await mesh.connected()
    return mesh
  }

  /** Every living site has every other living one. */
  async connected(): Promise<void> {
    await until(
      () =>
        NAMES.every(
          siteId =>
            this.#dead.has(siteId) ||
            this.sites[siteId].kms
              .status()
              .every(({ remoteSiteId, connected }) => connected || this.#dead.has(remoteSiteId as SiteName)),
        ),
      'the sites are connected',
    )
  }

  host(saeId: string): Kms {
    const siteId = NAMES.find(name => (HOSTS[name] as readonly string[]).includes(saeId))!
    return this.sites[siteId].kms.kmsFor(saeId)
  }

  /** Ends a site; its peers see that it is gone. */
  async kill(siteId: SiteName): Promise<void> {
    this.#dead.add(siteId)
    await this.sites[siteId].kms.close()
    await until(
      () =>
        NAMES.every(
          name =>
            this.#dead.has(name) ||
            !this.sites[name].kms.status().find(({ remoteSiteId }) => remoteSiteId === siteId)?.connected,
        ),
      `${siteId} is gone`,
    )
  }

  /** Opens what a killed site has on its disk. */
  async revive(siteId: SiteName): Promise<void> {
    this.sites[siteId].faults.mend()
    this.sites[siteId].kms = await this.#openKms(siteId)
    this.#dead.delete(siteId)
    await this.connected()
  }

  advance(ms: number): void {
    for (const { clock } of Object.values(this.sites)) clock.advance(ms)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const siteId of NAMES) if (!this.#dead.has(siteId)) await this.sites[siteId].kms.close()
    for (const closable of [...Object.values(this.#qnls), ...this.#closables]) await closable.close()
  }

  #openKms(siteId: SiteName): Promise<SiteKms> {
    const { store, slots, clock, events, audit } = this.sites[siteId]
    const telemetry = new TelemetryHub()
    telemetry.subscribe(event => events.push(event))
    const policy = this.#options.policies?.[siteId]
    const peers = NAMES.filter(name => name !== siteId).map(name => {
      const common = { siteId: name, kmeId: `kme-${name}`, saeIds: HOSTS[name] }
      return siteId < name ? { ...common, dial: async () => this.#dial(siteId, name) } : common
    })
    return SiteKms.open({
      local: { siteId, kmeId: `kme-${siteId}`, saeIds: HOSTS[siteId] },
      peers,
      qnl: this.#qnls[siteId],
      store,
      slots,
      pool: { ...DEFAULT_POOL, demandBps: 100_000_000, ...this.#options.pool },
      keys: { ...DEFAULT_KEYS, ...this.#options.keys },
      ...(policy && { policy }),
      audit: auditInto(audit),
      telemetry,
      now: clock.now,
      monotonicMs: clock.now,
    })
  }

  #dial(from: SiteName, to: SiteName) {
    if (this.#dead.has(to)) throw new Error(`${to} is down`)
    const [ours, theirs] = createMemoryChannelPair([`kme-${from}`, `kme-${to}`])
    this.sites[to].kms.accept(theirs)
    return ours
  }
}

function auditInto(entries: AuditEntry[]): AuditLog {
  return {
    record: async entry => void entries.push(entry),
    close: async () => {},
    [Symbol.asyncDispose]: async () => {},
  }
}
