import type { RoutedDemand } from '../../interface/network-node.ts'
import { BLOCK_BYTES } from '../../key/cells.ts'
import { ConfirmTime } from './confirm-time.ts'
import { areDisjoint, type SiteDomains } from './relay-sets.ts'
import { MAX_PATH_SITES, MAX_SHARES } from './relay-wire.ts'

const BLOCK_BITS = 8 * BLOCK_BYTES
/** Blocks that may be under way on one path besides those of so many seconds. */
const WINDOW_BLOCKS = 3
const WINDOW_S = 2
/**
 * What a path may make up for after it could not send, in milliseconds of its rate: link key waits meanwhile. Of ten nodes on
 * two busy processors a path stands still for most of a second now and then; with 500 ms they lost 2 % of their plan to that.
 */
const BURST_MS = 2000

/** The paths that one block takes: one, or with `split` one for each share. Paced by the plan's rate. */
export class PathSet {
  readonly paths: readonly (readonly string[])[]
  readonly split: boolean
  readonly rateBps: number
  /** True where the relays of the path announce instead of passing chunks on. */
  readonly announced: boolean
  /** Blocks of this set without an end. */
  underWay = 0
  /** How long the far end takes to confirm what comes this way. */
  confirmTime = new ConfirmTime()
  #nextMs = 0

  constructor(set: Pick<PathSet, 'paths' | 'split' | 'rateBps'> & { readonly announced?: boolean }) {
    const { paths, split, rateBps, announced = false } = set
    this.paths = paths
    this.split = split
    this.rateBps = rateBps
    this.announced = announced
  }

  /** What tells one set from another, so that a set keeps its pace over plans. */
  get key(): string {
    return `${this.split} ${this.announced}\n${this.paths.map(path => path.join('\n')).join('\n\n')}`
  }

  /** True where the block is a block of the common link itself. */
  get direct(): boolean {
    return !this.split && this.paths[0]!.length === 2
  }

  /** How long until the next block may start, in milliseconds; 0 for now, infinite while too many are under way. */
  waitMs(nowMs: number): number {
    if (this.rateBps <= 0) return Number.POSITIVE_INFINITY
    if (this.underWay >= Math.min(64, WINDOW_BLOCKS + (WINDOW_S * this.rateBps) / BLOCK_BITS))
      return Number.POSITIVE_INFINITY
    return Math.max(0, this.#nextMs - nowMs)
  }

  /** A block starts. */
  spend(nowMs: number): void {
    this.underWay += 1
    this.#nextMs = Math.max(this.#nextMs, nowMs - BURST_MS) + (BLOCK_BITS / this.rateBps) * 1000
  }

  /** Takes over the pace of the set that it replaces. */
  follow(old: PathSet | undefined): this {
    // A path that is new has nothing to make up for.
    if (old === undefined) this.#nextMs = performance.now()
    if (old === undefined) return this
    this.confirmTime = old.confirmTime
    // The wait for the next block is as much shorter as the new rate is higher.
    const nowMs = performance.now()
    const scale = Math.min(10, old.rateBps / this.rateBps)
    this.#nextMs = nowMs + Math.max(-BURST_MS, Math.min(10_000, (old.#nextMs - nowMs) * (scale || 1)))
    return this
  }
}

/**
 * The path sets of a demand, or why there are none. What a plan says is checked here: paths that do not lead from this site
 * to the other, and shares that meet in a relay or are too few, are refused whoever sends them.
 */
export function pathSetsOf(
  { remoteSiteId, mode, paths }: RoutedDemand,
  ground: { siteId: string; minShares: number; domainOf: SiteDomains; announces: boolean },
): PathSet[] | string {
  const { siteId, minShares, domainOf, announces } = ground
  for (const { sites } of paths) {
    const sound = sites.length >= 2 && sites.length <= MAX_PATH_SITES && new Set(sites).size === sites.length
    if (!sound || sites[0] !== siteId || sites.at(-1) !== remoteSiteId)
      return `"${sites.join('-')}" is no path from ${siteId} to ${remoteSiteId}`
  }
  if (mode !== 'split') {
    return paths.map(({ sites, rateBps }) => {
      return new PathSet({ paths: [sites], split: false, rateBps, announced: announces && sites.length > 2 })
    })
  }
  const sets = new Map<number, (typeof paths)[number][]>()
  for (const path of paths) sets.set(path.set ?? 0, [...(sets.get(path.set ?? 0) ?? []), path])
  const split: PathSet[] = []
  for (const shares of sets.values()) {
    const routes = shares.map(({ sites }) => sites)
    if (routes.length < minShares || routes.length > MAX_SHARES)
      return `${routes.length} shares, where this site wants at least ${minShares}`
    if (!areDisjoint(routes, domainOf)) return 'Two shares of one key would meet in a relay'
    split.push(new PathSet({ paths: routes, split: true, rateBps: Math.min(...shares.map(({ rateBps }) => rateBps)) }))
  }
  return split
}
