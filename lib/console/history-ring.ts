import type { ConsoleHistory } from './sections.ts'

/** One value of each series. */
export type HistorySample = Readonly<Record<string, number>>

/** The last hour of some series: as many values as fit, the oldest go first. */
export class HistoryRing {
  readonly #stepMs: number
  readonly #length: number
  readonly #mostSeries: number
  readonly #times: Float64Array
  readonly #series = new Map<string, Float32Array>()
  #next = 0
  #count = 0

  constructor({ stepMs = 10_000, length = 360, mostSeries = 128 } = {}) {
    this.#stepMs = stepMs
    this.#length = length
    this.#mostSeries = mostSeries
    this.#times = new Float64Array(length)
  }

  /** Notes a sample. A series that it lacks has no value there; one beyond the bound is left out. */
  add(atMs: number, sample: HistorySample): void {
    const at = this.#next
    this.#times[at] = atMs
    for (const values of this.#series.values()) values[at] = Number.NaN
    for (const [name, value] of Object.entries(sample)) {
      const values = this.#series.get(name) ?? this.#newSeries(name)
      if (values !== undefined) values[at] = value
    }
    this.#next = (at + 1) % this.#length
    this.#count = Math.min(this.#count + 1, this.#length)
  }

  /** Everything kept, oldest first; a value that is missing is -1. */
  toJson(): ConsoleHistory {
    const inOrder = (values: Float64Array | Float32Array) =>
      Array.from({ length: this.#count }, (_, at) => {
        const value = values[(this.#next - this.#count + at + this.#length) % this.#length]!
        return Number.isFinite(value) ? Math.round(value) : -1
      })
    return {
      stepMs: this.#stepMs,
      atMs: inOrder(this.#times),
      series: Object.fromEntries([...this.#series].map(([name, values]) => [name, inOrder(values)])),
    }
  }

  #newSeries(name: string): Float32Array | undefined {
    if (this.#series.size >= this.#mostSeries) return undefined
    const values = new Float32Array(this.#length).fill(Number.NaN)
    this.#series.set(name, values)
    return values
  }
}
