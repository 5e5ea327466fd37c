import { type SiteFellow, startSiteFellow } from '../../test/helpers/site-fellow.ts'
import type { SiteProcesses } from '../../test/helpers/site-process.ts'
import { until } from '../../test/helpers/until.ts'
import type { Slice, SliceResult } from '../etsi014/load-process.ts'
import { cpuTimeMs } from '../report.ts'
import { BenchProcess } from '../tls/bench-process.ts'

const REQUEST = 'GET /api/v1/keys/bob/enc_keys?number=1 HTTP/1.1\r\nhost: kme\r\naccept: application/json\r\n\r\n'
/** More than any slice draws. */
const STOCK_KEYS = 4_000

/** What one slice came to; processor time in milliseconds a key. */
export interface Outcome {
  readonly perSecond: number
  readonly ownerMs: number
  readonly othersMs: number
  readonly latenciesMs: readonly number[]
}

/** The first of two sites with further replicas, and a caller for each; the one that it began with owns its pools. */
export class ReplicatedSite implements AsyncDisposable {
  readonly #sites: SiteProcesses
  readonly #fellows: SiteFellow[] = []
  readonly #callers: BenchProcess[] = []

  private constructor(sites: SiteProcesses) {
    this.#sites = sites
  }

  static async start(sites: SiteProcesses, replicas: number): Promise<ReplicatedSite> {
    const site = new ReplicatedSite(sites)
    try {
      for (let number = 2; number <= replicas; number += 1)
        site.#fellows.push(await startSiteFellow(sites, { built: true, number }))
      for (let number = 1; number <= replicas; number += 1)
        site.#callers.push(new BenchProcess('../etsi014/load-process'))
      return site
    } catch (error) {
      await site[Symbol.asyncDispose]()
      throw error
    }
  }

  /** Waits until a slice can be served from what is there. */
  async stocked(): Promise<void> {
    const alice = this.#sites.kms('alice')
    const hasStock = async () => (await alice.getStatus('bob')).storedKeyCount >= STOCK_KEYS
    await until(hasStock, 'a full pool', { timeoutMs: 120_000 })
    await alice.close()
  }

  /** Asks for `count` keys, spread evenly over so many replicas, the owner first. */
  async ask(count: number, { replicas, connections }: { replicas: number; connections: number }): Promise<Outcome> {
    const before = this.#cpu()
    const start = performance.now()
    const { port, ...credentials } = this.#sites.host('alice')
    const ports = [port, ...this.#fellows.map(fellow => fellow.port)].slice(0, replicas)
    const slices = ports.map((port, at) => {
      const slice: Slice = {
        target: { port, ...credentials },
        requests: [REQUEST],
        count: count / replicas,
        connections: connections / replicas,
        fresh: false,
        keep: false,
      }
      return this.#callers[at]!.ask<SliceResult>(slice)
    })
    const results = await Promise.all(slices)
    const perSecond = (count / (performance.now() - start)) * 1_000
    const after = this.#cpu()
    return {
      perSecond,
      ownerMs: (after.ownerMs - before.ownerMs) / count,
      othersMs: (after.othersMs - before.othersMs) / count,
      latenciesMs: results.flatMap(({ latenciesMs }) => latenciesMs),
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const caller of this.#callers) await caller[Symbol.asyncDispose]()
    for (const { process } of this.#fellows) await process.kill()
  }

  #cpu(): { ownerMs: number; othersMs: number } {
    const others = this.#fellows.map(({ process }) => cpuTimeMs(process.pid!)!)
    return { ownerMs: cpuTimeMs(this.#sites.processes[0].pid!)!, othersMs: others.reduce((sum, ms) => sum + ms, 0) }
  }
}
