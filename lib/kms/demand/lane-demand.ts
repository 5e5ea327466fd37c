import { type BaseStockTerms, baseStockCells } from './base-stock.ts'
import { type DemandTrend, RateEstimate } from './rate-estimate.ts'
import { SurgeDetector } from './surge-detector.ts'

/** A surge as it was seen: cells a second before it, and since. */
export interface Surge {
  readonly wasPerSecond: number
  readonly perSecond: number
}

/** What is asked of one lane of a pool: its rate, how sure that is, and whether it has leapt up. */
export class LaneDemand {
  readonly #estimate = new RateEstimate()
  readonly #detector: SurgeDetector
  #cells = 0
  #squares = 0

  constructor({ nowMs }: { nowMs: number }) {
    this.#detector = new SurgeDetector({ nowMs })
  }

  /** Cells a second. */
  get perSecond(): number {
    return this.#estimate.perSecond
  }

  get trend(): DemandTrend {
    return this.#estimate.trend
  }

  /** A request for `cells`; gives the surge that it made certain, if any. The period under way then begins anew. */
  asked(cells: number, nowMs: number): Surge | undefined {
    const perSecond = this.#detector.add(cells, nowMs)
    if (perSecond !== undefined && perSecond > this.perSecond) {
      const wasPerSecond = this.perSecond
      this.#estimate.jump(perSecond)
      this.#expect(nowMs)
      this.#detector.restart(nowMs)
      this.#restart(cells)
      return { wasPerSecond, perSecond }
    }
    this.#cells += cells
    this.#squares += cells * cells
    return undefined
  }

  endPeriod(periodMs: number, nowMs: number): void {
    this.#estimate.endPeriod({ cells: this.#cells, squares: this.#squares, periodMs })
    this.#restart(0)
    this.#expect(nowMs)
  }

  /** Cells that stock and orders must come to. */
  baseStockCells(terms: BaseStockTerms): number {
    return baseStockCells(this.#estimate, terms)
  }

  #restart(cells: number): void {
    this.#cells = cells
    this.#squares = cells * cells
  }

  #expect(nowMs: number): void {
    this.#detector.expect({ perSecond: this.perSecond, batch: this.#estimate.batch, nowMs })
  }
}
