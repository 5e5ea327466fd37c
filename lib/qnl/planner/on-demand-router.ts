import { InvalidArgumentError, NoRouteError } from '../../errors.ts'
import { describePath } from './assemble-plan.ts'
import type { Paths } from './column-pool.ts'
import { DisjointPaths } from './disjoint-paths.ts'
import { buildGraph, forEachUse, type Graph, indexById, resourceLoads } from './graph.ts'
import type { NetworkFile, RoutingMode } from './network.ts'
import type { Plan, PlannedPath } from './plan.ts'
import { findAtLargest, findWidestShortest } from './widest-shortest-path.ts'

/** A request for key between two plans. */
export interface OnDemandRequest {
  readonly a: string
  readonly b: string
  /** Key wanted, in bits per second, above 0. */
  readonly rateBps: number
  /** Default `multipath`: over further paths only what the first has no room for. */
  readonly mode?: RoutingMode
  /** In `split` mode the number of XOR shares, 2 to 8. Default 2. */
  readonly shares?: number
}

/** What is set aside for a request until it is given back. */
export interface OnDemandGrant {
  /** Above 0, at most the rate asked for, in bits per second. */
  readonly rateBps: number
  readonly paths: readonly PlannedPath[]
}

/** Columns with their rates: what a grant holds. */
type Holding = readonly { readonly paths: Paths; readonly rateBps: number }[]

/** One request is spread over this many columns at most. */
const MAX_COLUMNS = 16
/** A resource with a smaller part free is full. */
const FULL = 1e-9

/**
 * Serves requests between two plans from what the plan leaves, over widest-shortest paths: these keep at least half of
 * what the best online rule could (López et al. 2025). Where the room is not enough, the grant is partial.
 */
export class OnDemandRouter {
  readonly #file: NetworkFile
  readonly #graph: Graph
  readonly #nodeIndex: ReadonlyMap<string, number>
  readonly #disjoint: DisjointPaths
  /** Share of each resource that is taken. */
  readonly #loads: Float64Array
  readonly #held = new WeakMap<OnDemandGrant, Holding>()

  /** `file` is the checked network that `plan` is for. */
  constructor(file: NetworkFile, plan: Plan) {
    const loads = Float64Array.from(plan.links, link => link.loadBps)
    this.#file = file
    this.#graph = buildGraph(file)
    this.#nodeIndex = indexById(file.nodes)
    this.#disjoint = new DisjointPaths(this.#graph)
    this.#loads = resourceLoads(this.#graph, loads)
  }

  /**
   * Sets room aside for the request.
   * @throws {InvalidArgumentError} an end is unknown, both are the same, or the rate is not above 0
   * @throws {NoRouteError} no path between the two sites has any room; or for `split` no such set of paths
   */
  grant(request: OnDemandRequest): OnDemandGrant {
    const { source, target } = this.#check(request)
    const { mode = 'multipath', shares = 2 } = request
    const holding: { paths: Paths; rateBps: number }[] = []
    let missing = request.rateBps
    while (missing > FULL * request.rateBps && holding.length < (mode === 'multipath' ? MAX_COLUMNS : 1)) {
      const paths =
        mode === 'split'
          ? this.#findSet({ source, target, shares, rateBps: missing })
          : this.#findPath({ source, target, rateBps: missing })
      if (paths === undefined) break
      const rateBps = Math.min(missing, this.#roomOn(paths))
      this.#take(paths, rateBps)
      holding.push({ paths, rateBps })
      missing -= rateBps
    }
    if (holding.length === 0) {
      throw new NoRouteError(
        `No ${mode === 'split' ? 'set of disjoint paths' : 'path'} between "${request.a}" and "${request.b}" has room`,
      )
    }
    const grant = this.#describe(source, holding)
    this.#held.set(grant, holding)
    return grant
  }

  /** Gives back what `grant` set aside; a second time does nothing. */
  release(grant: OnDemandGrant): void {
    for (const { paths, rateBps } of this.#held.get(grant) ?? []) this.#take(paths, -rateBps)
    this.#held.delete(grant)
  }

  #check({ a, b, rateBps, shares = 2 }: OnDemandRequest): { source: number; target: number } {
    const source = this.#nodeIndex.get(a)
    const target = this.#nodeIndex.get(b)
    if (source === undefined) throw new InvalidArgumentError(`a: no node has the id "${a}"`)
    if (target === undefined) throw new InvalidArgumentError(`b: no node has the id "${b}"`)
    if (source === target) throw new InvalidArgumentError('b must differ from a')
    if (!(rateBps > 0 && rateBps <= 1e15)) throw new InvalidArgumentError('rateBps must be above 0 and at most 1e15')
    if (!(Number.isInteger(shares) && shares >= 2 && shares <= 8)) {
      throw new InvalidArgumentError('shares must be an integer from 2 to 8')
    }
    return { source, target }
  }

  /** The widest-shortest path with room for all, or, where there is none, of those with most room. */
  #findPath(search: { source: number; target: number; rateBps: number }): Paths | undefined {
    const room = this.#rooms()
    const find = (least: number) => {
      const path = findWidestShortest({ graph: this.#graph, ...search, room, least })
      return path === undefined ? undefined : [path]
    }
    return (
      find(search.rateBps) ??
      findAtLargest(
        room.filter(free => free > 0),
        find,
      )
    )
  }

  /** The set of fewest links in all with room for all, or of those with most room; else a link between both ends. */
  #findSet(search: { source: number; target: number; shares: number; rateBps: number }): Paths | undefined {
    const room = this.#rooms()
    const { source, target, shares, rateBps } = search
    const find = (least: number): Paths | undefined => {
      const lengths = room.map(free => (free >= least ? 1 : Number.POSITIVE_INFINITY))
      const set = { source, target, paths: shares, lengths }
      return this.#disjoint.run(set) < Number.POSITIVE_INFINITY ? this.#disjoint.paths(set) : undefined
    }
    const thresholds = room.filter(free => free > 0)
    return find(rateBps) ?? findAtLargest(thresholds, find) ?? this.#findDirect(source, target, room)
  }

  #findDirect(source: number, target: number, room: Float64Array): Paths | undefined {
    const { arcStart, arcHead, arcLink } = this.#graph
    let widest: number | undefined
    for (let arc = arcStart[source]!; arc < arcStart[source + 1]!; arc++) {
      const link = arcLink[arc]!
      if (arcHead[arc] === target && room[link]! > (widest === undefined ? 0 : room[widest]!)) widest = link
    }
    return widest === undefined ? undefined : [[widest]]
  }

  /** Bits per second that each link takes if nothing else changes. */
  #rooms(): Float64Array {
    return Float64Array.from({ length: this.#graph.linkCount }, (_, link) => this.#roomOn([[link]]))
  }

  /** Bits per second that these paths take together. */
  #roomOn(paths: Paths): number {
    const parts = new Map<number, number>()
    forEachUse(this.#graph, paths, (resource, share) => parts.set(resource, (parts.get(resource) ?? 0) + share))
    if (parts.size === 0) return 0
    let room = Number.POSITIVE_INFINITY
    for (const [resource, part] of parts) {
      const free = 1 - this.#loads[resource]!
      room = Math.min(room, free > FULL ? free / part : 0)
    }
    return room
  }

  #take(paths: Paths, rateBps: number): void {
    forEachUse(this.#graph, paths, (resource, share) => {
      this.#loads[resource]! += share * rateBps
    })
  }

  #describe(source: number, holding: Holding): OnDemandGrant {
    return {
      rateBps: holding.reduce((sum, { rateBps }) => sum + rateBps, 0),
      paths: holding.flatMap(({ paths, rateBps }, set) =>
        paths.map(links => ({
          ...describePath({ file: this.#file, graph: this.#graph }, source, links),
          rateBps,
          ...(paths.length > 1 ? { set } : {}),
        })),
      ),
    }
  }
}
