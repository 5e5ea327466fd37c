import { setMaxListeners } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import type { NetworkStatus } from '../../lib/interface/network-controller.ts'
import type { Qnl } from '../../lib/interface/qnl.ts'
import { linkName, type NetworkProcesses, startNetwork } from './network-processes.ts'
import { until } from './until.ts'

/** What each pair was promised by plans over a time, and what came of it at both ends; bits. */
export interface RateReport {
  readonly seconds: number
  readonly pairs: ReadonlyMap<string, { readonly plannedBits: number; readonly deliveredBits: number }>
  /** Mean of what was planned over one relay or more, in bits per second. */
  readonly relayedBps: number
}

/** Ten sites on a ring with a link across to every third: each is an end point and a relay at once. */
export const tenSites = Array.from({ length: 10 }, (_, at) => `s${at}`)
const links = [
  ...tenSites.map((a, at) => ({ a, b: tenSites[(at + 1) % 10]! })),
  ...[0, 2, 4, 6, 8].map(at => ({ a: tenSites[at]!, b: tenSites[(at + 5) % 10]! })),
].map(({ a, b }, at) => ({ a, b, rateBps: 2_000_000 + (at % 4) * 1_000_000 }))
/** No two of them share a link: all key goes over relays. */
export const tenPairs = tenSites
  .map((a, at) => [a, tenSites[(at + 2) % 10]!].sort() as [string, string])
  .filter(([a, b]) => !links.some(link => linkName(link.a, link.b) === linkName(a, b)))

const BLOCK_BITS = 256_000
/** Calls that wait at each end, so that a block is taken as soon as it is there, however long an answer takes. */
const TAKERS = 3

/** The network of ten nodes, each a process of its own. */
export function startTen(): Promise<NetworkProcesses> {
  return startNetwork({
    sites: tenSites.map(siteId => ({ siteId, saes: [`host-${siteId}`] })),
    links,
    pairs: tenPairs,
    nodesOnly: true,
    heartbeatMs: 1000,
  })
}

/** Takes every block that comes at both ends of each pair, and asks what it is told to ask. */
export class PairTakers implements AsyncDisposable {
  readonly #network: NetworkProcesses
  readonly #qnls = new Map<string, Qnl>()
  readonly #abort = new AbortController()
  readonly #taking: Promise<void>[] = []
  /** Blocks by pair and side. */
  readonly #blocks = new Map<string, number>()

  constructor(network: NetworkProcesses) {
    this.#network = network
    setMaxListeners(0, this.#abort.signal)
    for (const siteId of tenSites) this.#qnls.set(siteId, network.qnl(siteId))
    for (const [a, b] of tenPairs)
      for (const [near, far] of [[a, b] as const, [b, a] as const])
        for (let taker = 0; taker < TAKERS; taker += 1) this.#taking.push(this.#take(near, far))
  }

  /** Both ends of a pair ask for a rate. */
  async ask([a, b]: readonly [string, string], rateBps: number, weight = 1): Promise<void> {
    const demand = { rateBps, weight, kind: 'continuous', mode: 'multipath' } as const
    const ends = [[a, b] as const, [b, a] as const]
    await Promise.all(
      ends.map(([near, far]) => this.#qnls.get(near)!.setDemand(far, demand, { signal: AbortSignal.timeout(20_000) })),
    )
  }

  /** Looks at plans and blocks for so long; `work` goes on meanwhile. */
  async measure(seconds: number, work: (atS: number) => Promise<void> = async () => {}): Promise<RateReport> {
    const planned = new Map<string, number>()
    const before = new Map(this.#blocks)
    let relayed = 0
    const beganMs = performance.now()
    let lastMs = beganMs
    let working = Promise.resolve()
    const passed = () => (performance.now() - beganMs) / 1000
    while (passed() < seconds) {
      const status = await this.#status()
      const nowMs = performance.now()
      for (const { a, b, paths } of status.pairs) {
        for (const { sites, rateBps } of paths) {
          const bits = (rateBps * (nowMs - lastMs)) / 1000
          planned.set(`${a} ${b}`, (planned.get(`${a} ${b}`) ?? 0) + bits)
          if (sites.length > 2) relayed += bits
        }
      }
      lastMs = nowMs
      // It goes on beside: a look at the plan stands for the time since the last one.
      working = working.then(() => work(passed()))
      working.catch(() => {})
      await sleep(200)
    }
    await working
    const pairs = new Map(
      [...planned].map(([id, plannedBits]) => {
        const [a, b] = id.split(' ')
        const count = (name: string) => (this.#blocks.get(name) ?? 0) - (before.get(name) ?? 0)
        const blocks = Math.min(count(`${a} ${b}`), count(`${b} ${a}`))
        return [id, { plannedBits, deliveredBits: blocks * BLOCK_BITS }]
      }),
    )
    return { seconds: passed(), pairs, relayedBps: relayed / passed() }
  }

  /** Waits until every pair is planned and has got a block. */
  async ready(): Promise<void> {
    await until(() => this.#blocks.size === 2 * tenPairs.length, `blocks for every pair\n${this.#network.errors()}`, {
      timeoutMs: 60_000,
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#abort.abort()
    await Promise.all(this.#taking)
  }

  async #take(near: string, far: string): Promise<void> {
    const { signal } = this.#abort
    const name = `${near} ${far}`
    while (!signal.aborted) {
      try {
        const { secret } = await this.#qnls.get(near)!.nextBlock(far, { signal })
        secret.wipe()
        this.#blocks.set(name, (this.#blocks.get(name) ?? 0) + 1)
      } catch (error) {
        if (!signal.aborted) throw error
      }
    }
  }

  async #status(): Promise<NetworkStatus> {
    return await this.#network.operator.status({ signal: AbortSignal.timeout(60_000) })
  }
}
