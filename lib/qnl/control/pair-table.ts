import type { NodeReport } from '../../interface/network-node.ts'
import type { Demand, PoolLevel } from '../../interface/qnl.ts'
import { RATES } from '../planner/network.ts'
import { isSameDemand } from '../same-demand.ts'
import { emptiest } from './pool-fill.ts'

/** Pairs that one site may ask for. */
export const MAX_PAIRS_OF_SITE = 1024

/** What a pair asks for: its pool is one, so the greater of what its two sites say. */
export interface PairDemand {
  /** Both sites, sorted. */
  readonly a: string
  readonly b: string
  readonly rateBps: number
  readonly weight: number
  readonly mode: Demand['mode']
  /** Shares of a `split`. */
  readonly shares?: number
  readonly kind: Demand['kind']
  /** The emptier side of its pool, of those that ask; undefined where one does not say. */
  readonly pool?: PoolLevel
  /** When the demand ends, in milliseconds of the controller's clock; infinite for most. */
  readonly untilMs: number
}

interface Ask {
  readonly demand: Demand
  readonly untilMs: number
}

/** The demands of every pair, as the nodes reported them. */
export class PairTable {
  readonly #pairs = new Map<string, { readonly a: string; readonly b: string; readonly asks: Map<string, Ask> }>()

  /** Takes over what `siteId` asks for, in place of what it asked before; gives the pairs that ask for something new. */
  report(
    siteId: string,
    demands: NodeReport['demands'],
    options: { knows: (siteId: string) => boolean; nowMs: number },
  ): string[] {
    const { knows, nowMs } = options
    const told = new Set<string>()
    const changed: string[] = []
    for (const { remoteSiteId, demand } of demands.slice(0, MAX_PAIRS_OF_SITE)) {
      if (demand.rateBps < RATES.least || remoteSiteId === siteId || !knows(remoteSiteId)) continue
      const id = pairId(siteId, remoteSiteId)
      told.add(id)
      const [a, b] = [siteId, remoteSiteId].sort() as [string, string]
      const pair = this.#pairs.get(id) ?? { a, b, asks: new Map<string, Ask>() }
      this.#pairs.set(id, pair)
      const last = pair.asks.get(siteId)
      if (last !== undefined && isSameDemand(last.demand, demand)) {
        // The pool's level alone is no reason to plan anew.
        pair.asks.set(siteId, { demand, untilMs: last.untilMs })
        continue
      }
      pair.asks.set(siteId, { demand, untilMs: nowMs + (demand.deadlineMs ?? Number.POSITIVE_INFINITY) })
      changed.push(id)
    }
    for (const [id, { asks }] of this.#pairs) {
      if (told.has(id) || !asks.delete(siteId)) continue
      changed.push(id)
      if (asks.size === 0) this.#pairs.delete(id)
    }
    return changed
  }

  /** Forgets what a site asked for whose node has been silent for long. */
  forget(siteId: string): void {
    for (const [id, { asks }] of this.#pairs) if (asks.delete(siteId) && asks.size === 0) this.#pairs.delete(id)
  }

  /** What a pair asks for now; undefined for nothing. */
  demandOf(id: string, nowMs: number): PairDemand | undefined {
    const pair = this.#pairs.get(id)
    if (pair === undefined) return undefined
    const asks = [...pair.asks.values()].filter(({ untilMs }) => untilMs > nowMs)
    if (asks.length === 0) return undefined
    const first = asks.reduce((most, next) => (next.demand.rateBps > most.demand.rateBps ? next : most))
    const pool = emptiest(asks.map(({ demand }) => demand.pool))
    const split = asks.some(({ demand }) => demand.mode === 'split')
    return {
      a: pair.a,
      b: pair.b,
      rateBps: first.demand.rateBps,
      weight: Math.max(...asks.map(({ demand }) => demand.weight)),
      // Where one side wants no relay to know the key, the other's word does not lower that.
      mode: split ? 'split' : first.demand.mode,
      ...(split && { shares: Math.max(...asks.map(({ demand }) => demand.shares ?? 2)) }),
      kind: asks.every(({ demand }) => demand.kind === 'on-demand') ? 'on-demand' : 'continuous',
      untilMs: Math.max(...asks.map(({ untilMs }) => untilMs)),
      ...(pool === undefined ? {} : { pool }),
    }
  }

  /** Every pair that asks for something, in a steady order. */
  all(nowMs: number): [id: string, demand: PairDemand][] {
    return [...this.#pairs.keys()].sort().flatMap((id): [string, PairDemand][] => {
      const demand = this.demandOf(id, nowMs)
      return demand === undefined ? [] : [[id, demand]]
    })
  }
}

/** The name of a pair, the same from both sides. Site IDs have no space. */
export function pairId(one: string, other: string): string {
  return one < other ? `${one} ${other}` : `${other} ${one}`
}
