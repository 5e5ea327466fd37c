import type { Demand, DemandGrant } from '../../lib/interface/qnl.ts'

/** Length of a step of production, in milliseconds. */
export const STEP_MS = 10

/** A network that grants up to a cap and delivers cell by cell, each `leadMs` after it was made. Goes by steps of 10 ms. */
export class LaggingQnl {
  readonly demands: Demand[] = []
  readonly #capPerSecond: number
  readonly #keepDemands: boolean
  /** Cells made in each step of the last lead time. */
  readonly #made: Float64Array
  #step = 0
  #perSecond = 0
  #endsAtMs = Number.POSITIVE_INFINITY
  #inFlight = 0
  #remainder = 0

  constructor(options: { capPerSecond: number; leadMs: number; keepDemands?: boolean }) {
    this.#capPerSecond = options.capPerSecond
    this.#made = new Float64Array(options.leadMs / STEP_MS)
    this.#keepDemands = options.keepDemands ?? false
  }

  /** Cells that were made and have not come. */
  get inFlightCells(): number {
    return this.#inFlight
  }

  async setDemand(_remoteSiteId: string, demand: Demand): Promise<DemandGrant> {
    if (this.#keepDemands) this.demands.push(demand)
    this.produce(demand.rateBps / 256, demand.deadlineMs)
    return { rateBps: this.#perSecond * 256, epoch: 1 }
  }

  /** Makes so many cells a second from now on, up to the cap. */
  produce(perSecond: number, lifeMs = Number.POSITIVE_INFINITY): void {
    this.#perSecond = Math.min(this.#capPerSecond, perSecond)
    this.#endsAtMs = this.#step * STEP_MS + lifeMs
  }

  /** One step: gives the whole cells that arrive. */
  step(): number {
    const at = this.#step % this.#made.length
    const arrived = this.#made[at]! + this.#remainder
    const made = this.#step * STEP_MS < this.#endsAtMs ? (this.#perSecond * STEP_MS) / 1000 : 0
    this.#inFlight += made - this.#made[at]!
    this.#made[at] = made
    this.#step += 1
    // Thousands of fractions add up to a whole cell or to a hair less.
    const whole = Math.floor(arrived + 1e-6)
    this.#remainder = arrived - whole
    return whole
  }
}
