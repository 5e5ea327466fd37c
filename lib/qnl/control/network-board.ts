import { InvalidArgumentError, NoRouteError } from '../../errors.ts'
import type { DrainTarget, NetworkEvent, NetworkStatus, SiteView } from '../../interface/network-controller.ts'
import type { NodePlan, NodeReport } from '../../interface/network-node.ts'
import {
  MOST_DEADLINE_MS,
  type NetworkDemand,
  type NetworkFile,
  type NetworkNode,
  RATES,
  WEIGHTS,
} from '../planner/network.ts'
import { OnDemandRouter } from '../planner/on-demand-router.ts'
import type { Plan, PlannedPath } from '../planner/plan.ts'
import { LinkTable } from './link-table.ts'
import { nodePlanOf, type PlannedPair } from './node-plans.ts'
import { PairTable } from './pair-table.ts'
import { PoolFilling } from './pool-filling.ts'

/** What a board is made from. */
export interface NetworkBoardOptions {
  readonly sites: readonly { readonly siteId: string; readonly modules?: number }[]
  readonly emit: (event: NetworkEvent) => void
  /** What a node reported counts for so long after it left, in milliseconds. Default 30,000. */
  readonly memoryMs?: number
  /** Links that are out of the plans from the start, after a controller before this one. */
  readonly drained?: readonly string[]
}

/** What a pair sends now. */
export interface PlannedFlow {
  readonly id: string
  readonly weight: number
  readonly rateBps: number
  readonly routes: readonly PlannedPath[]
}

/** How urgent a report is. */
export type Urgency = 'none' | 'demand' | 'topology'

interface SiteEntry {
  readonly node: NetworkNode
  joined: boolean
  epoch: number
  heardMs: number | undefined
}

/** While the pools of a pair are filled before maintenance, it counts for so much more. */
const FILLING_WEIGHT = 4

/**
 * What the controller knows: sites, links, demands, maintenance, and the plan in force. Turns reports into the planner's
 * input and a plan into what each node is told. No clock, no timer and no thread: whoever holds it says what time it is.
 */
export class NetworkBoard {
  readonly links: LinkTable
  readonly #pairs = new PairTable()
  readonly #filling = new PoolFilling({
    links: () => this.links.filling(),
    isPlanned: () => this.#plan !== undefined,
    pairsOver: linkId => this.#pairsOver(linkId),
    demandOf: (id, nowMs) => this.#pairs.demandOf(id, nowMs),
  })
  readonly #sites: Map<string, SiteEntry>
  readonly #emit: (event: NetworkEvent) => void
  readonly #memoryMs: number
  #plan: { readonly plan: Plan; readonly file: NetworkFile; readonly atMs: number; readonly planMs: number } | undefined
  #planned = new Map<string, PlannedPair>()
  #router: OnDemandRouter | undefined
  /** Pairs for which nothing more is free until the next plan. */
  readonly #full = new Set<string>()
  #epoch = 0

  constructor({ sites, emit, memoryMs = 30_000, drained = [] }: NetworkBoardOptions) {
    this.#emit = emit
    this.#memoryMs = memoryMs
    this.links = new LinkTable(emit, { drained, isFilled: (linkId, nowMs) => this.#filling.isDone(linkId, nowMs) })
    this.#sites = new Map(
      sites.map(({ siteId, modules }) => [
        siteId,
        {
          node: { id: siteId, ...(modules === undefined ? {} : { modules }) },
          joined: false,
          epoch: 0,
          heardMs: undefined,
        },
      ]),
    )
  }

  get epoch(): number {
    return this.#epoch
  }

  /** @throws {InvalidArgumentError} the site is not one of this network */
  join(siteId: string, nowMs: number): void {
    const site = this.#siteOf(siteId)
    site.joined = true
    site.heardMs = nowMs
    this.#emit({ type: 'site', siteId, state: 'joined' })
  }

  leave(siteId: string, nowMs: number): void {
    const site = this.#siteOf(siteId)
    if (!site.joined) return
    site.joined = false
    site.heardMs = nowMs
    this.#emit({ type: 'site', siteId, state: 'away' })
  }

  /** Takes over what a node says. */
  report({ siteId, epoch, links, demands }: NodeReport, nowMs: number): Urgency {
    const site = this.#siteOf(siteId)
    site.epoch = epoch
    site.heardMs = nowMs
    const options = { knows: (other: string) => this.#sites.has(other), nowMs }
    const changed = this.#pairs.report(siteId, demands, options)
    const topology = this.links.report(siteId, links, options)
    if (topology) return 'topology'
    return changed.length > 0 ? 'demand' : 'none'
  }

  /** Lets time pass: forgets nodes that were away for long, ends damping and filling. True if that changes the plan. */
  refresh(nowMs: number): boolean {
    for (const [siteId, site] of this.#sites) {
      if (site.joined || site.heardMs === undefined || nowMs - site.heardMs < this.#memoryMs) continue
      site.heardMs = undefined
      this.links.forget(siteId)
      this.#pairs.forget(siteId)
    }
    return this.links.refresh(nowMs)
  }

  /** What is to be planned now. */
  file(nowMs: number): NetworkFile {
    const filling = this.#filling.rates(nowMs)
    const demands = this.#pairs
      .all(nowMs)
      .map(([id, { a, b, rateBps, weight, mode, shares, untilMs }]): NetworkDemand => {
        // Within what can be planned, whatever one site asks for: no other may be without a plan for it.
        const askedBps = Math.min(RATES.most, Math.max(rateBps, filling.get(id) ?? 0))
        const most = Math.min(WEIGHTS.most, filling.has(id) ? weight * FILLING_WEIGHT : weight)
        const leftMs = untilMs - nowMs
        return {
          id,
          a,
          b,
          rateBps: askedBps,
          weight: Math.max(WEIGHTS.least, most),
          mode,
          ...(shares === undefined ? {} : { shares }),
          limitBps: askedBps,
          ...(leftMs <= MOST_DEADLINE_MS ? { deadlineMs: leftMs } : {}),
        }
      })
    return { nodes: [...this.#sites.values()].map(({ node }) => node), links: this.links.network(), demands }
  }

  /** The plan is in force: gives what each node is told. */
  adopt(plan: Plan, file: NetworkFile, { nowMs, planMs }: { nowMs: number; planMs: number }): void {
    this.#epoch = plan.epoch
    this.#plan = { plan, file, atMs: nowMs, planMs }
    this.#router = undefined
    this.#full.clear()
    this.#planned = new Map(
      plan.demands.map(({ id, rateBps, paths, reason }, at): [string, PlannedPair] => {
        const { a, b, rateBps: askedBps, weight = 1, mode = 'multipath' } = file.demands[at]!
        const demand = this.#pairs.demandOf(id, nowMs) ?? {
          a,
          b,
          rateBps: askedBps,
          weight,
          mode,
          kind: 'continuous',
          untilMs: nowMs,
        }
        return [id, { demand, rateBps, paths, ...(reason === undefined ? {} : { reason }) }]
      }),
    )
  }

  /**
   * Serves demands that the present plan knows nothing of from the room that it leaves, over widest-shortest paths. Gives the
   * pairs that got something; the plan's epoch becomes `epoch` if there are any.
   */
  serveBetweenPlans(nowMs: number): string[] {
    if (this.#plan === undefined) return []
    const { plan, file } = this.#plan
    this.#router ??= new OnDemandRouter(file, plan)
    const served: string[] = []
    for (const [id, demand] of this.#pairs.all(nowMs)) {
      const planned = this.#planned.get(id)
      if (planned !== undefined && planned.demand.rateBps === demand.rateBps) continue
      const missingBps = demand.rateBps - (planned?.rateBps ?? 0)
      // A split that grows would need paths apart from those that it has: that is the next plan's work.
      if (missingBps <= 0 || (planned !== undefined && demand.mode === 'split') || this.#full.has(id)) continue
      try {
        const { a, b, mode, shares } = demand
        const kind = { mode, ...(shares === undefined ? {} : { shares }) }
        const grant = this.#router.grant({ a, b, rateBps: missingBps, ...kind })
        const paths = [...(planned?.paths ?? []), ...grant.paths]
        this.#planned.set(id, { demand, rateBps: (planned?.rateBps ?? 0) + grant.rateBps, paths })
        served.push(id)
      } catch (error) {
        if (!(error instanceof NoRouteError || error instanceof InvalidArgumentError)) throw error
        // Nothing is given back between two plans, so there is no room for it before the next.
        this.#full.add(id)
      }
    }
    return served
  }

  /**
   * Takes paths out of the present plan that a link which is down (or out of the plans) lies on, so that their ends hear of
   * it before there is a new plan. Gives the pairs that lost one.
   */
  cutDeadPaths(): string[] {
    const dead = new Set(this.links.network().flatMap(({ id, rateBps }) => (rateBps > 0 ? [] : [id])))
    const cut: string[] = []
    for (const [id, pair] of this.#planned) {
      const lost = pair.paths.filter(({ links }) => links.some(link => dead.has(link)))
      if (lost.length === 0) continue
      const sets = new Set(lost.flatMap(({ set }) => set ?? []))
      const paths = pair.paths.filter(path => !lost.includes(path) && (path.set === undefined || !sets.has(path.set)))
      const names = [...new Set(lost.flatMap(({ links }) => links.filter(link => dead.has(link))))].join(', ')
      const rateBps = rateOver(paths)
      this.#planned.set(id, { ...pair, paths, rateBps, ...(rateBps > 0 ? {} : { reason: `${names} is down` }) })
      cut.push(id)
    }
    return cut
  }

  /** The plan in force has got another number, because of what was served between two. */
  renumber(epoch: number): void {
    this.#epoch = epoch
  }

  /** What a node is to do, once there is a plan. */
  nodePlan(siteId: string): NodePlan | undefined {
    if (this.#plan === undefined) return undefined
    return nodePlanOf(siteId, [...this.#planned.values()], { epoch: this.#epoch, gap: this.#plan.plan.gap })
  }

  /** Every path that the plan in force sends over, by pair. */
  plannedFlows(): { readonly pairs: readonly PlannedFlow[] } {
    const pairs = [...this.#planned].map(([id, { demand, rateBps, paths }]) => {
      return { id, weight: demand.weight, rateBps, routes: paths }
    })
    return { pairs }
  }

  /** Sites of these pairs. */
  sitesOf(pairs: readonly string[]): Set<string> {
    return new Set(pairs.flatMap(id => [this.#planned.get(id)!.demand.a, this.#planned.get(id)!.demand.b]))
  }

  /**
   * Begins to take links out of the plans: the pools that cross them are filled first, until they are full or `fillMs` are
   * over.
   */
  drain(linkIds: readonly string[], { nowMs, fillMs }: { nowMs: number; fillMs: number }): void {
    this.#filling.begin(linkIds)
    this.links.drain(linkIds, { nowMs, fillMs })
    this.refresh(nowMs)
  }

  /** Links of a target of maintenance. @throws {InvalidArgumentError} there is none */
  linksOf(target: DrainTarget): string[] {
    const links = this.links.linksOf(target)
    if (links.length > 0) return links
    const [kind, name] = 'linkId' in target ? ['link', target.linkId] : ['site with links', target.siteId]
    throw new InvalidArgumentError(`There is no ${kind} "${name}" in this network now`)
  }

  status(controllerId: string, nowMs: number): NetworkStatus {
    const plan = this.#plan
    const loads = new Map<string, number>()
    for (const { paths } of this.#planned.values()) {
      for (const { links, rateBps } of paths) for (const id of links) loads.set(id, (loads.get(id) ?? 0) + rateBps)
    }
    return {
      controllerId,
      epoch: this.#epoch,
      lambda: plan?.plan.lambda ?? 0,
      gap: plan?.plan.gap ?? 0,
      planMs: plan?.planMs ?? 0,
      planAgeMs: plan === undefined ? undefined : nowMs - plan.atMs,
      sites: [...this.#sites].map(
        ([siteId, { joined, epoch, heardMs }]): SiteView => ({
          siteId,
          state: joined ? 'joined' : heardMs === undefined ? 'unknown' : 'away',
          epoch,
          silentMs: heardMs === undefined ? undefined : nowMs - heardMs,
        }),
      ),
      links: this.links.view(loads, this.#filling.views(nowMs)),
      pairs: this.#pairs.all(nowMs).map(([id, { a, b, rateBps, weight, mode, pool }]) => {
        const planned = this.#planned.get(id)
        const reason = planned === undefined ? 'It waits for the next plan' : planned.reason
        return {
          a,
          b,
          askedBps: rateBps,
          grantedBps: planned?.rateBps ?? 0,
          weight,
          mode,
          ...(pool === undefined ? {} : { pool }),
          paths: (planned?.paths ?? []).map(path => ({ sites: path.nodes, rateBps: path.rateBps })),
          ...(reason === undefined ? {} : { reason }),
        }
      }),
    }
  }

  #pairsOver(linkId: string): string[] {
    const crosses = ({ paths }: PlannedPair) => paths.some(({ links }) => links.includes(linkId))
    return [...this.#planned].flatMap(([id, pair]) => (crosses(pair) ? [id] : []))
  }

  #siteOf(siteId: string): SiteEntry {
    const site = this.#sites.get(siteId)
    if (site !== undefined) return site
    throw new InvalidArgumentError(`"${siteId}" is no site of this network; add it to the controller's sites`)
  }
}

/** What paths carry together: the shares of a set are one key. */
function rateOver(paths: readonly PlannedPath[]): number {
  const sets = new Map(paths.map(({ set, rateBps }, at) => [set ?? `path ${at}`, rateBps]))
  return [...sets.values()].reduce((sum, rateBps) => sum + rateBps, 0)
}
