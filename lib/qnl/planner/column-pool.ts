/** Links of each path, in order from one end of a demand to the other. */
export type Paths = readonly (readonly number[])[]

/** A way to serve a demand: one path, or a set of node-disjoint ones. A bit per second takes as much of every link. */
export interface Column {
  readonly demand: number
  readonly paths: Paths
}

/** All columns found so far, each once. */
export class ColumnPool {
  readonly columns: Column[] = []
  /** Columns of each demand, as places in `columns`. */
  readonly byDemand: readonly number[][]
  readonly #fingerprints: number[] = []

  constructor(demandCount: number) {
    this.byDemand = Array.from({ length: demandCount }, () => [])
  }

  /** Adds the column, or returns false if it is known. */
  add(demand: number, paths: Paths): boolean {
    const before = this.columns.length
    this.placeOf(demand, paths)
    return this.columns.length > before
  }

  /** Place of the column in `columns`; adds it if it is not known. */
  placeOf(demand: number, paths: Paths): number {
    const fingerprint = fingerprintOf(paths)
    const places = this.byDemand[demand]!
    // Demands have a handful of columns each: a scan beats a map for every demand.
    for (const place of places) if (this.#fingerprints[place] === fingerprint) return place
    const place = this.columns.length
    places.push(place)
    this.#fingerprints.push(fingerprint)
    this.columns.push({ demand, paths })
    return place
  }

  /** The same columns, but of each `locked` demand the one it is locked to. */
  restrict(locked: ReadonlyMap<number, Paths>): ColumnPool {
    const pool = new ColumnPool(this.byDemand.length)
    for (const { demand, paths } of this.columns) if (!locked.has(demand)) pool.add(demand, paths)
    for (const [demand, paths] of locked) pool.add(demand, paths)
    return pool
  }
}

/** 52 bits that depend on the set of links, not on their order. Two columns of a demand alike by chance cost one column. */
function fingerprintOf(paths: Paths): number {
  let low = 0
  let high = 0
  for (const path of paths) {
    for (const link of path) {
      low ^= mix(link + 1)
      high ^= mix(~link)
    }
  }
  return (low >>> 0) + (high >>> 12) * 2 ** 32
}

function mix(value: number): number {
  let mixed = Math.imul(value ^ (value >>> 16), 0x85ebca6b)
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35)
  return mixed ^ (mixed >>> 16)
}
