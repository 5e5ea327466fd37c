import { SeededRandom } from '../../lib/qll/bb84/random.ts'

const SECONDS = 86_400
const BASE_PER_SECOND = 20
const SURGE_FACTOR = 10
const SURGE_SECONDS = 300
const RAMP_SECONDS = 1_800
/** Left free at both ends of the day, and between what happens in it. */
const APART_SECONDS = 120

/**
 * A day of requests for single keys of 256 bits: 20 a second at random, surges of ten times that for 300 seconds that nothing
 * announces, and one slow rise to ten times over 30 minutes. The same seed gives the same day.
 */
export class DemandDay {
  readonly seconds = SECONDS
  /** Where the surges begin, in seconds, ascending. */
  readonly surges: readonly number[]
  readonly rampAt: number
  readonly #random: SeededRandom

  constructor({ seed, surges = 3 }: { seed: number; surges?: number }) {
    this.#random = SeededRandom.of(seed)
    const taken: [from: number, to: number][] = []
    const place = (seconds: number) => {
      for (;;) {
        const at = APART_SECONDS + this.#random.uniform() * (SECONDS - seconds - 2 * APART_SECONDS)
        if (taken.some(([from, to]) => at < to + APART_SECONDS && at + seconds > from - APART_SECONDS)) continue
        taken.push([at, at + seconds])
        return at
      }
    }
    this.rampAt = place(RAMP_SECONDS)
    this.surges = Array.from({ length: surges }, () => place(SURGE_SECONDS)).sort((a, b) => a - b)
  }

  /** Requests a second that are expected at that second of the day. */
  perSecond(at: number): number {
    if (this.surges.some(from => at >= from && at < from + SURGE_SECONDS)) return BASE_PER_SECOND * SURGE_FACTOR
    const risen = (at - this.rampAt) / RAMP_SECONDS
    return BASE_PER_SECOND * (risen >= 0 && risen < 1 ? 1 + (SURGE_FACTOR - 1) * risen : 1)
  }

  /** The times of all requests, in milliseconds, ascending. Can be gone through once. */
  *requests(): Generator<number> {
    const most = BASE_PER_SECOND * SURGE_FACTOR
    for (let at = 0; ; ) {
      at -= Math.log(1 - this.#random.uniform()) / most
      if (at >= SECONDS) return
      if (this.#random.uniform() * most < this.perSecond(at)) yield at * 1000
    }
  }
}
