import { join } from 'node:path'
import { createMemoryChannelPair } from '../../lib/channel/memory-channel.ts'
import type { Link, LinkBlock } from '../../lib/interface/link.ts'
import type { MessageChannel } from '../../lib/interface/message-channel.ts'
import type { PoolStore, SlotStore } from '../../lib/interface/pool-store.ts'
import type { Demand, Qnl, QnlBlock } from '../../lib/interface/qnl.ts'
import type { TelemetryEvent } from '../../lib/interface/telemetry.ts'
import type { SiteIdentity } from '../../lib/key/site-identity.ts'
import { KeyPool, type PoolLimits } from '../../lib/kms/pool/key-pool.ts'
import type { ShareQuestion } from '../../lib/kms/pool/shared-key-acceptor.ts'
import type { VirtualTerms } from '../../lib/kms/pool/virtual-opener.ts'
import { CommitFile } from '../../lib/kms/store/commit-file.ts'
import { MemorySlots } from '../../lib/kms/store/memory-slots.ts'
import { MemoryPoolStore } from '../../lib/kms/store/memory-store.ts'
import { openStore } from '../../lib/kms/store/open-store.ts'
import { createSimulatedLinkPair } from '../../lib/qll/simulated-link-pair.ts'
import { DirectQnl } from '../../lib/qnl/direct-qnl.ts'
import { TelemetryHub } from '../../lib/telemetry.ts'
import { debugLogger } from '../../lib/util/debug-logger.ts'
import { FaultPlan, withFaults } from './fault-store.ts'
import { until } from './until.ts'

export interface PoolPairOptions {
  readonly limits?: Partial<PoolLimits>
  readonly rateBps?: number
  /** Told of each demand that a site's pool sets at its QNL. */
  readonly onDemand?: (site: 0 | 1, demand: Demand) => void
  /** How each block came, as both networks say it. Default direct. */
  readonly way?: (number: bigint) => Partial<Pick<QnlBlock, 'trustClass' | 'relays'>>
  /** What each site's policy holds for virtual blocks; of both where there is one. Default none are allowed. */
  readonly virtual?: VirtualTerms | readonly [VirtualTerms, VirtualTerms]
  /** What proves each site to the other. Default TLS alone. */
  readonly identities?: readonly [SiteIdentity | undefined, SiteIdentity | undefined]
  /** Lets keys of several hosts in, at both sites. Default none. */
  readonly admitShare?: (question: ShareQuestion) => Promise<void>
  /** Changes the blocks that the second site gets from its link, or loses them (undefined). */
  readonly tamper?: (block: LinkBlock) => LinkBlock | undefined
  /** Keeps the stores here, as directories `site-a` and `site-b` with what stands beside them. Default in memory. */
  readonly directory?: string
}

/** A clock that a test moves; it stands still otherwise. */
export class TestClock {
  ms = 1_700_000_000_000
  readonly now = () => this.ms
  advance(ms: number): void {
    this.ms += ms
  }
}

/** One site of a pair, with what survives its restarts. */
export interface PoolSite {
  pool: KeyPool
  store: PoolStore
  slots: SlotStore
  readonly events: TelemetryEvent[]
  readonly clock: TestClock
  /** The disk of the site, which a test may end at any of its steps. */
  readonly faults: FaultPlan
}

/** Two pools in step with each other, each with its own store and clocks, and the channel between them in the test's hand. */
export class PoolPair implements AsyncDisposable {
  readonly sites: [PoolSite, PoolSite]
  readonly #closables: { close(): Promise<void> }[]
  readonly #disks: readonly SiteDisk[]
  readonly #openPool: OpenPool
  #channels: MessageChannel[] = []

  private constructor(
    sites: [PoolSite, PoolSite],
    { closables, disks, openPool }: { closables: { close(): Promise<void> }[]; disks: SiteDisk[]; openPool: OpenPool },
  ) {
    this.sites = sites
    this.#closables = closables
    this.#disks = disks
    this.#openPool = openPool
  }

  static async open({
    limits: given = {},
    rateBps = 200_000_000,
    tamper,
    identities = [undefined, undefined],
    virtual,
    way = () => ({}),
    onDemand,
    admitShare,
    directory,
  }: PoolPairOptions = {}): Promise<PoolPair> {
    const limits = {
      targetBlocks: 8,
      // Full from the start, whatever is asked: a test of the pool is none of how it is sized.
      minBlocks: given.targetBlocks ?? 8,
      lifetimeMs: 10_000,
      maxWaitMs: 2000,
      shredMs: 60_000,
      demandBps: rateBps,
      ...given,
    }
    const siteIds = ['site-a', 'site-b'] as const
    const [near, far] = createSimulatedLinkPair({ linkId: 'a-b', siteIds, rateBps })
    const links: Link[] = [near, tamper === undefined ? far : tamperedLink(far, tamper)]
    const qnls = siteIds.map((siteId, i) => new DirectQnl({ siteId, links: [links[i]!] }))
    const clocks = [new TestClock(), new TestClock()]
    const faults = [new FaultPlan(), new FaultPlan()]
    const disks = siteIds.map(siteId => new SiteDisk(directory && join(directory, siteId)))
    const events: TelemetryEvent[][] = [[], []]
    const openPool: OpenPool = async (i, options = {}) => {
      const kept = await disks[i]!.open()
      const stores = withFaults(kept, faults[i]!)
      const telemetry = new TelemetryHub()
      telemetry.subscribe(event => events[i]!.push(event))
      const pool = await KeyPool.open({
        localSiteId: siteIds[i],
        remoteSiteId: siteIds[1 - i]!,
        ...stores,
        marks: kept.marks,
        ...options,
        qnl: watchedQnl(labelledQnl(qnls[i]!, way), demand => onDemand?.(i, demand)),
        limits,
        identity: identities[i],
        ...(virtual !== undefined && { virtual: 'allows' in virtual ? virtual : virtual[i] }),
        ...(admitShare && { admitShare }),
        telemetry,
        logger: debugLogger('kms'),
        now: clocks[i]!.now,
        monotonicMs: clocks[i]!.now,
      })
      return { pool, ...stores }
    }
    const site = async (i: 0 | 1): Promise<PoolSite> => ({
      ...(await openPool(i)),
      events: events[i]!,
      clock: clocks[i]!,
      faults: faults[i]!,
    })
    return new PoolPair([await site(0), await site(1)], {
      closables: [...qnls, near, far, ...disks],
      disks,
      openPool,
    })
  }

  /** Joins the two; resolves at once, the hellos go their way. */
  connect(wrap?: (channel: MessageChannel) => MessageChannel): void {
    void this.session(wrap)
  }

  /** Joins the two; resolves when the session is over at both. */
  async session(wrap: (channel: MessageChannel) => MessageChannel = channel => channel): Promise<void> {
    const [one, two] = createMemoryChannelPair(['kme-a', 'kme-b'])
    this.#channels = [one, two]
    await Promise.all([this.sites[0].pool.attach(wrap(one)), this.sites[1].pool.attach(wrap(two))])
  }

  /** Cuts the channel. */
  async disconnect(): Promise<void> {
    await Promise.all(this.#channels.map(channel => channel.close()))
    await until(() => !this.sites.some(({ pool }) => pool.connected), 'both sites saw the cut')
  }

  /**
   * Ends one pool without a word and opens what its store has, as after a crash; `between` finds the store closed, where it
   * is in a directory. With `afterRestore` the new process is told that its store was put back.
   */
  async restart(
    i: 0 | 1,
    { between, afterRestore = false }: { between?: () => Promise<void>; afterRestore?: boolean } = {},
  ): Promise<void> {
    await this.disconnect()
    const site = this.sites[i]
    await site.pool.close()
    await this.#disks[i]!.rest()
    await between?.()
    site.faults.mend()
    Object.assign(site, await this.#openPool(i, { afterRestore }))
  }

  advance(ms: number): void {
    for (const { clock } of this.sites) clock.advance(ms)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.sites.map(({ pool }) => pool.close()))
    for (const closable of this.#closables) await closable.close()
  }
}

type OpenPool = (
  site: 0 | 1,
  options?: { afterRestore?: boolean },
) => Promise<Pick<PoolSite, 'pool' | 'store' | 'slots'>>

interface Kept {
  readonly store: PoolStore
  readonly slots: SlotStore
  readonly marks: CommitFile | undefined
}

/** What of a site outlives its process: in a directory, with the key and the commit numbers beside it, or in memory. */
class SiteDisk {
  readonly #path: string | undefined
  #kept: Kept | undefined

  constructor(path: string | undefined) {
    this.#path = path
  }

  async open(): Promise<Kept> {
    this.#kept ??= this.#path === undefined ? inMemory() : await inDirectory(this.#path)
    return this.#kept
  }

  /** Lets go of the directory. */
  async rest(): Promise<void> {
    if (this.#path !== undefined) await this.close()
  }

  async close(): Promise<void> {
    const kept = this.#kept
    this.#kept = undefined
    await kept?.marks?.close()
    await kept?.slots.close()
    await kept?.store.close()
  }
}

function inMemory(): Kept {
  return { store: new MemoryPoolStore(), slots: new MemorySlots(), marks: undefined }
}

async function inDirectory(path: string): Promise<Kept> {
  const { store, slots } = await openStore({ path, kek: { file: `${path}.kek` } })
  return { store, slots, marks: await CommitFile.open(`${path}.commits`) }
}

function labelledQnl(qnl: Qnl, way: NonNullable<PoolPairOptions['way']>): Qnl {
  const nextBlock: Qnl['nextBlock'] = async (...call) => {
    const block = await qnl.nextBlock(...call)
    return { ...block, ...way(block.number) }
  }
  return new Proxy(qnl, {
    get: (target, property) => {
      if (property === 'nextBlock') return nextBlock
      const value = Reflect.get(target, property, target)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
}

function watchedQnl(qnl: Qnl, onDemand: (demand: Demand) => void): Qnl {
  return new Proxy(qnl, {
    get: (target, property) => {
      const value = Reflect.get(target, property, target)
      if (typeof value !== 'function') return value
      return (...args: unknown[]) => {
        if (property === 'setDemand') onDemand(args[1] as Demand)
        return value.apply(target, args)
      }
    },
  })
}

function tamperedLink(link: Link, tamper: (block: LinkBlock) => LinkBlock | undefined): Link {
  const nextBlock: Link['nextBlock'] = async options => {
    for (;;) {
      const block = tamper(await link.nextBlock(options))
      if (block !== undefined) return block
    }
  }
  return new Proxy(link, {
    get: (target, property) => {
      if (property === 'nextBlock') return nextBlock
      const value = Reflect.get(target, property, target)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
}
