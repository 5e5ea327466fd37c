import type { FillView } from '../../interface/network-controller.ts'
import type { PairDemand } from './pair-table.ts'
import { missingBits } from './pool-fill.ts'

/** Pools are to be full after so much of the time that maintenance leaves them. */
const TIME_SHARE = 0.5

/** A link that is on its way out of the plans. */
export interface FillingLink {
  readonly linkId: string
  /** Time for filling in all, and when it ends, in milliseconds. */
  readonly fillMs: number
  readonly untilMs: number
}

/** What is known of the network while pools are filled. */
export interface PoolFillingOptions {
  readonly links: () => readonly FillingLink[]
  /** True once there is a plan: before, nobody knows which pairs cross a link. */
  readonly isPlanned: () => boolean
  /** Pairs that the plan in force sends over a link. */
  readonly pairsOver: (linkId: string) => readonly string[]
  /** What a pair asks for; undefined for nothing. */
  readonly demandOf: (id: string, nowMs: number) => PairDemand | undefined
}

/** The pools that are filled before links go out of the plans: which they are, what they lack, and when they are full. */
export class PoolFilling {
  readonly #options: PoolFillingOptions
  readonly #crossing = new Map<string, Set<string>>()

  constructor(options: PoolFillingOptions) {
    this.#options = options
  }

  /** Maintenance begins: notes the pairs that cross these links now. */
  begin(linkIds: readonly string[]): void {
    for (const linkId of linkIds) this.#crossing.set(linkId, new Set(this.#options.pairsOver(linkId)))
  }

  /** What each of these pairs is planned for at least, in bits per second; 0 where its KMS does not say what it lacks. */
  rates(nowMs: number): Map<string, number> {
    const { links, demandOf } = this.#options
    const rates = new Map<string, number>()
    for (const { linkId, fillMs } of links()) {
      for (const id of this.#over(linkId)) {
        const level = demandOf(id, nowMs)?.pool
        const rateBps = level === undefined ? 0 : (1000 * missingBits(level)) / (TIME_SHARE * fillMs)
        rates.set(id, Math.max(rateBps, rates.get(id) ?? 0))
      }
    }
    return rates
  }

  /** All pools that cross the link are full. */
  isDone(linkId: string, nowMs: number): boolean {
    return this.#options.isPlanned() && [...this.#over(linkId)].every(id => this.#isFull(id, nowMs))
  }

  views(nowMs: number): Map<string, FillView> {
    return new Map(
      this.#options.links().map(({ linkId, untilMs }): [string, FillView] => {
        const pairs = [...this.#over(linkId)]
        const full = pairs.filter(id => this.#isFull(id, nowMs)).length
        return [linkId, { pairs: pairs.length, full, leftMs: Math.max(0, untilMs - nowMs) }]
      }),
    )
  }

  /** A plan that came after the maintenance began may have brought others. */
  #over(linkId: string): ReadonlySet<string> {
    const crossing = new Set([...(this.#crossing.get(linkId) ?? []), ...this.#options.pairsOver(linkId)])
    this.#crossing.set(linkId, crossing)
    return crossing
  }

  /** A pair that asks for nothing has what it wants; one whose KMS does not say waits for its time. */
  #isFull(id: string, nowMs: number): boolean {
    const demand = this.#options.demandOf(id, nowMs)
    return demand === undefined || (demand.pool !== undefined && missingBits(demand.pool) === 0)
  }
}
