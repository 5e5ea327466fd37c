import { setImmediate as turn } from 'node:timers/promises'
import type { AbortOptions } from '../interface/lifecycle.ts'
import type { LinkReport } from '../interface/network-node.ts'
import { NetworkBoard } from '../qnl/control/network-board.ts'
import type { NetworkFile } from '../qnl/planner/network.ts'
import { PlanWorker } from '../qnl/planner/plan-worker.ts'
import type { NetworkTrace, TraceEvent } from './network-trace.ts'
import { poisson, seededNumbers } from './random.ts'
import { type LinkFlow, SimulatedLinkSupply } from './simulated-link.ts'
import { CELL_BITS, SimulatedPool } from './simulated-pool.ts'

/** The network at one moment of a simulation; rates in bits per second. */
export interface NetworkSample {
  readonly atS: number
  /** What hosts asked for, and what they got, since the last sample. */
  readonly wantedBps: number
  readonly servedBps: number
  /** What pools ordered, and what the plan in force grants of it. */
  readonly orderedBps: number
  readonly grantedBps: number
  readonly lambda: number
  readonly linksDown: number
}

/** How one demand came through. */
export interface SimulatedDemand {
  readonly id: string
  readonly a: string
  readonly b: string
  readonly wantedBits: number
  readonly servedBits: number
}

/** What a link was used for. */
export interface SimulatedLinkUse {
  readonly id: string
  readonly a: string
  readonly b: string
  readonly rateBps: number
  /** Of what it yielded. */
  readonly usedShare: number
  readonly downS: number
}

/** What a simulation found. */
export interface NetworkSimulation {
  readonly durationS: number
  readonly sites: number
  readonly plans: number
  /** Time that the plans took to compute, in milliseconds of this machine. */
  readonly planMs: { readonly median: number; readonly p95: number; readonly max: number }
  /** The worst certified distance of any plan from the best one. */
  readonly worstGap: number
  readonly samples: readonly NetworkSample[]
  readonly demands: readonly SimulatedDemand[]
  readonly links: readonly SimulatedLinkUse[]
  readonly log: readonly { readonly atS: number; readonly text: string }[]
  /** Time of this machine, and its memory at the end. */
  readonly wallS: number
  readonly cpuS: number
  readonly memoryMb: number
}

/** Options of `simulateNetwork`. */
export interface SimulateNetworkOptions extends AbortOptions {
  /** Called after each step with the share that is done. */
  readonly onProgress?: (share: number) => void
}

/** The log of a simulation keeps so many lines. */
const MAX_LOG = 2000

/**
 * Runs a network in virtual time: hosts draw key at random by their demands, each pool's demand monitor orders from the
 * network, the controller's board and the planner answer, and the relays' fair queue shares out what links lack.
 */
export async function simulateNetwork(
  file: NetworkFile,
  trace: NetworkTrace,
  { signal, onProgress }: SimulateNetworkOptions = {},
): Promise<NetworkSimulation> {
  const beganMs = performance.now()
  const beganCpu = process.cpuUsage()
  await using planner = new PlanWorker()
  const world = new World(file, trace)
  const steps = Math.ceil(trace.durationS / trace.stepS)
  for (let step = 0; step < steps; step++) {
    signal?.throwIfAborted()
    const urgent = world.begin(step)
    world.order()
    if (urgent || (step * trace.stepS) % trace.planS < trace.stepS) await world.plan(planner, signal)
    else world.serveBetweenPlans()
    world.answer()
    // The answers reach the pools before time goes on.
    await turn()
    world.end(step)
    onProgress?.((step + 1) / steps)
  }
  const { user, system } = process.cpuUsage(beganCpu)
  return {
    ...world.result(),
    wallS: (performance.now() - beganMs) / 1000,
    cpuS: (user + system) / 1e6,
    memoryMb: process.memoryUsage.rss() / 1e6,
  }
}

interface HostDemand {
  readonly id: string
  readonly pool: SimulatedPool
  rateBps: number
  wantedBits: number
  servedBits: number
}

class World {
  readonly #trace: NetworkTrace
  readonly #random: () => number
  readonly #board: NetworkBoard
  readonly #links: readonly SimulatedLinkSupply[]
  readonly #linkById: ReadonlyMap<string, SimulatedLinkSupply>
  readonly #pools = new Map<string, SimulatedPool>()
  readonly #demands: readonly HostDemand[]
  readonly #sites: readonly string[]
  readonly #log: { atS: number; text: string }[] = []
  readonly #samples: NetworkSample[] = []
  readonly #planMs: number[] = []
  #events: readonly TraceEvent[]
  #nowS = 0
  #lambda = 0
  #worstGap = 0
  #lastFile = ''
  #wantedBits = 0
  #servedBits = 0

  constructor(file: NetworkFile, trace: NetworkTrace) {
    this.#trace = trace
    this.#events = trace.events
    this.#random = seededNumbers(trace.seed)
    this.#sites = file.nodes.map(({ id }) => id)
    this.#board = new NetworkBoard({
      sites: file.nodes.map(({ id, modules }) => ({ siteId: id, ...(modules === undefined ? {} : { modules }) })),
      emit: event => {
        if (event.type === 'link') this.#note(`link ${event.linkId} ${event.state}${event.damped ? ', damped' : ''}`)
      },
    })
    this.#links = file.links.map(link => new SimulatedLinkSupply(link))
    this.#linkById = new Map(this.#links.map(link => [link.linkId, link]))
    this.#demands = file.demands.map(({ id, a, b, rateBps }) => ({
      id,
      pool: this.#poolOf(a, b),
      rateBps,
      wantedBits: 0,
      servedBits: 0,
    }))
    for (const siteId of this.#sites) this.#board.join(siteId, 0)
  }

  get #nowMs(): number {
    return this.#nowS * 1000
  }

  /** Events and requests of a step; true if a link came or went. */
  begin(step: number): boolean {
    this.#nowS = step * this.#trace.stepS
    while (this.#events[0] !== undefined && this.#events[0].atS <= this.#nowS) {
      this.#happen(this.#events[0])
      this.#events = this.#events.slice(1)
    }
    const hour = (this.#nowS / 3600) % 24
    const swing = 1 + this.#trace.daily * Math.cos(((hour - 15) / 12) * Math.PI)
    for (const demand of this.#demands) {
      const cells = poisson((demand.rateBps * swing * this.#trace.stepS) / CELL_BITS, this.#random)
      const served = demand.pool.take(cells, this.#nowMs)
      demand.wantedBits += cells * CELL_BITS
      demand.servedBits += served * CELL_BITS
      this.#wantedBits += cells * CELL_BITS
      this.#servedBits += served * CELL_BITS
    }
    return this.#report()
  }

  order(): void {
    for (const pool of this.#pools.values()) pool.order()
    this.#report()
  }

  serveBetweenPlans(): void {
    if (this.#board.serveBetweenPlans(this.#nowMs).length > 0) this.#lastFile = ''
  }

  async plan(planner: PlanWorker, signal: AbortSignal | undefined): Promise<void> {
    this.#board.refresh(this.#nowMs)
    const file = this.#board.file(this.#nowMs)
    const text = JSON.stringify(file)
    if (text === this.#lastFile) return
    this.#lastFile = text
    const beganMs = performance.now()
    const plan = await planner.plan(file, { epoch: this.#board.epoch + 1, ...(signal === undefined ? {} : { signal }) })
    const planMs = performance.now() - beganMs
    this.#board.adopt(plan, file, { nowMs: this.#nowMs, planMs })
    this.#planMs.push(planMs)
    this.#lambda = plan.lambda
    this.#worstGap = Math.max(this.#worstGap, plan.gap)
  }

  /** Each pool hears what it is granted. */
  answer(): void {
    const granted = new Map(this.#board.plannedFlows().pairs.map(({ id, rateBps }) => [id, rateBps]))
    for (const [id, pool] of this.#pools) pool.grant(granted.get(id) ?? 0)
  }

  /** Key flows for one step, over the paths of the plan in force. */
  end(step: number): void {
    const { stepS, tremble } = this.#trace
    const { pairs } = this.#board.plannedFlows()
    const flows = new Map<string, { flow: LinkFlow; path: number }[]>()
    const paths = pairs.flatMap(({ id, weight, routes, rateBps: grantedBps }) => {
      // A node sends no more than its KMS asks for now, whatever it asked when the plan was made.
      const wanted = Math.min(1, (this.#pools.get(id)?.demand?.rateBps ?? 0) / grantedBps)
      return routes.map(({ links, rateBps }) => ({ id, weight, links, bits: rateBps * wanted * stepS, passes: 1 }))
    })
    for (const [at, { id, weight, links, bits }] of paths.entries()) {
      const [source, dest] = id.split(' ') as [string, string]
      for (const linkId of links) {
        const over = flows.get(linkId) ?? []
        flows.set(linkId, over)
        over.push({ flow: { source, dest, weight, bits }, path: at })
      }
    }
    for (const link of this.#links) {
      const over = flows.get(link.linkId) ?? []
      const share = 1 + tremble * (2 * this.#random() - 1)
      const passing = link.step(
        over.map(({ flow }) => flow),
        { stepS, share },
      )
      for (const [at, { path }] of over.entries()) {
        const found = paths[path]!
        found.passes = Math.min(found.passes, passing[at]!)
      }
    }
    const brought = new Map<string, number>()
    for (const { id, bits, passes } of paths) {
      brought.set(id, (brought.get(id) ?? 0) + bits * passes)
    }
    this.#nowS += stepS
    for (const [id, pool] of this.#pools) pool.fill(brought.get(id) ?? 0)
    this.#sample(step)
  }

  result(): Omit<NetworkSimulation, 'wallS' | 'cpuS' | 'memoryMb'> {
    const sorted = this.#planMs.toSorted((p, q) => p - q)
    const at = (share: number) => sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? 0
    return {
      durationS: this.#trace.durationS,
      sites: this.#sites.length,
      plans: sorted.length,
      planMs: { median: at(0.5), p95: at(0.95), max: at(1) },
      worstGap: this.#worstGap,
      samples: this.#samples,
      demands: this.#demands.map(({ id, pool: { a, b }, wantedBits, servedBits }) => ({
        id,
        a,
        b,
        wantedBits,
        servedBits,
      })),
      links: this.#links.map(({ linkId, a, b, rateBps, usedBits, yieldedBits, downS }) => ({
        id: linkId,
        a,
        b,
        rateBps,
        usedShare: yieldedBits === 0 ? 0 : Math.min(1, usedBits / yieldedBits),
        downS,
      })),
      log: this.#log,
    }
  }

  #happen(event: TraceEvent): void {
    if ('demand' in event) {
      for (const demand of this.#demands) if (demand.id === event.demand) demand.rateBps = event.rateBps
      this.#note(`demand ${event.demand} now ${event.rateBps} b/s`)
      return
    }
    const link = this.#linkById.get(event.link)!
    if ('state' in event) link.up = event.state === 'up'
    else link.rateBps = event.rateBps
  }

  /** Each node tells the board of its links and of what its KMS asks for; true if a link came or went. */
  #report(): boolean {
    const links = new Map<string, LinkReport[]>(this.#sites.map(siteId => [siteId, []]))
    for (const { linkId, a, b, up, rateBps, stockBits } of this.#links) {
      const state = up ? 'up' : 'down'
      for (const [siteId, remoteSiteId] of [
        [a, b],
        [b, a],
      ] as const) {
        links
          .get(siteId)!
          .push({ linkId, remoteSiteId, state, secrecy: 'quantum', rateBps: up ? rateBps : 0, stockBits })
      }
    }
    const demands = new Map<string, { remoteSiteId: string; demand: NonNullable<SimulatedPool['demand']> }[]>()
    for (const { a, b, demand } of this.#pools.values()) {
      if (demand === undefined || demand.rateBps === 0) continue
      const list = demands.get(a) ?? []
      demands.set(a, list)
      list.push({ remoteSiteId: b, demand: standing(demand) })
    }
    let urgent = false
    for (const siteId of this.#sites) {
      const report = { siteId, epoch: this.#board.epoch, links: links.get(siteId)!, demands: demands.get(siteId) ?? [] }
      if (this.#board.report(report, this.#nowMs) === 'topology') urgent = true
    }
    return urgent
  }

  #sample(step: number): void {
    const { stepS, durationS } = this.#trace
    // A few hundred points make a curve, however long it is.
    const every = Math.max(1, Math.floor(durationS / stepS / 400))
    if ((step + 1) % every !== 0) return
    const seconds = every * stepS
    let orderedBps = 0
    let grantedBps = 0
    for (const pool of this.#pools.values()) {
      orderedBps += pool.demand?.rateBps ?? 0
      grantedBps += pool.grantedBps
    }
    this.#samples.push({
      atS: this.#nowS,
      wantedBps: this.#wantedBits / seconds,
      servedBps: this.#servedBits / seconds,
      orderedBps,
      grantedBps,
      lambda: this.#lambda,
      linksDown: this.#links.filter(({ up }) => !up).length,
    })
    this.#wantedBits = 0
    this.#servedBits = 0
  }

  #poolOf(one: string, other: string): SimulatedPool {
    const [a, b] = [one, other].sort() as [string, string]
    const known = this.#pools.get(`${a} ${b}`)
    if (known !== undefined) return known
    const pool = new SimulatedPool({ a, b, stepMs: this.#trace.stepS * 1000, nowMs: () => this.#nowMs })
    this.#pools.set(`${a} ${b}`, pool)
    return pool
  }

  #note(text: string): void {
    if (this.#log.length < MAX_LOG) this.#log.push({ atS: this.#nowS, text })
  }
}

/** Steps are longer than the deadlines of orders on demand: until the next look they stand. */
function standing({ rateBps, weight, mode }: NonNullable<SimulatedPool['demand']>) {
  return { rateBps, weight, mode, kind: 'continuous' } as const
}
