import type { GaugeName, GaugeReading } from '../interface/telemetry.ts'

/** One look at all gauges, the same that the metrics are made from. */
export class GaugeTable {
  readonly #values = new Map<string, number>()
  readonly #peers = new Set<string>()

  constructor(readings: readonly GaugeReading[]) {
    for (const { name, labels, value } of readings) {
      this.#values.set(keyOf(name, labels), value)
      if (name === 'pool_stock_cells' && labels.peer !== undefined) this.#peers.add(labels.peer)
    }
  }

  /** Sites that there is a pool with, sorted. */
  get peers(): readonly string[] {
    return [...this.#peers].sort()
  }

  /** A gauge's value; undefined where it was never set or is no number. */
  value(name: GaugeName, labels: Readonly<Record<string, string>> = {}): number | undefined {
    const value = this.#values.get(keyOf(name, labels))
    return value === undefined || Number.isNaN(value) ? undefined : value
  }

  /** The same, 0 where it was never set. */
  count(name: GaugeName, labels: Readonly<Record<string, string>> = {}): number {
    return this.value(name, labels) ?? 0
  }
}

function keyOf(name: string, labels: Readonly<Record<string, string>>): string {
  return JSON.stringify([name, ...Object.entries(labels).sort(([p], [q]) => (p < q ? -1 : 1))])
}
