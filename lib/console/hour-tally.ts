const MINUTES = 60
const MINUTE_MS = 60_000

/** Sums of the last hour by name, a minute apiece. Names come from outside: what is more than the bound is counted together. */
export class HourTally<T> {
  readonly #most: number
  readonly #now: () => number
  readonly #entries = new Map<string, Entry<T>>()
  readonly #rest: Entry<undefined>

  constructor({ most, now = Date.now }: { most: number; now?: () => number }) {
    this.#most = most
    this.#now = now
    this.#rest = newEntry(undefined, this.#minute())
  }

  /** Counts one more of `what`, of which there is one for each `name`. */
  add(name: string, what: T, { count = 1, amount = 0 }: { count?: number; amount?: number } = {}): void {
    const minute = this.#minute()
    const entry = this.#entries.get(name) ?? this.#newcomer(name, what, minute)
    turn(entry, minute)
    entry.counts[minute % MINUTES]! += count
    entry.amounts[minute % MINUTES]! += amount
  }

  /** Everything that was counted within the hour, the largest amount first, then the largest count. */
  rows(): { what: T; count: number; amount: number; lastFiveMinutes: number }[] {
    const minute = this.#minute()
    const rows: { what: T; count: number; amount: number; lastFiveMinutes: number }[] = []
    for (const [name, entry] of this.#entries) {
      turn(entry, minute)
      const count = sum(entry.counts)
      if (count === 0) this.#entries.delete(name)
      else rows.push({ what: entry.what, count, amount: sum(entry.amounts), lastFiveMinutes: recent(entry, minute) })
    }
    return rows.sort((p, q) => q.amount - p.amount || q.count - p.count)
  }

  /** What came under more names than are kept apart. */
  rest(): { count: number; amount: number } {
    turn(this.#rest, this.#minute())
    return { count: sum(this.#rest.counts), amount: sum(this.#rest.amounts) }
  }

  #newcomer(name: string, what: T, minute: number): Entry<T | undefined> {
    if (this.#entries.size >= this.#most) this.rows()
    if (this.#entries.size >= this.#most) return this.#rest
    const entry = newEntry(what, minute)
    this.#entries.set(name, entry)
    return entry
  }

  #minute(): number {
    return Math.floor(this.#now() / MINUTE_MS)
  }
}

interface Entry<T> {
  readonly what: T
  readonly counts: Float64Array
  readonly amounts: Float64Array
  minute: number
}

function newEntry<T>(what: T, minute: number): Entry<T> {
  return { what, counts: new Float64Array(MINUTES), amounts: new Float64Array(MINUTES), minute }
}

/** Empties the minutes that have begun since the entry was last looked at. */
function turn(entry: Entry<unknown>, minute: number): void {
  for (let each = Math.max(entry.minute + 1, minute - MINUTES + 1); each <= minute; each++) {
    entry.counts[each % MINUTES] = 0
    entry.amounts[each % MINUTES] = 0
  }
  entry.minute = Math.max(entry.minute, minute)
}

function sum(values: Float64Array): number {
  return values.reduce((all, value) => all + value, 0)
}

function recent({ counts }: Entry<unknown>, minute: number): number {
  let all = 0
  for (let each = minute - 4; each <= minute; each++) all += counts[((each % MINUTES) + MINUTES) % MINUTES]!
  return all
}
