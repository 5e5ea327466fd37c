import { InvalidArgumentError } from '../../errors.ts'
import { cutIntoMatchings, type Matching, modulesBySite, type SharedLink, type SwitchedSite } from './time-shares.ts'

/** Which module serves a link at a site, and through which port of the site's switch. */
export interface LinkEndAddress {
  readonly siteId: string
  /** From 0; a site without a limit has a module for each link, of the same number as the port. */
  readonly module: number
  /** From 0, one for each fibre that ends at the site. */
  readonly port: number
}

/** A link that has the light, and between which ends. */
export interface Turn {
  readonly linkId: string
  readonly ends: readonly [LinkEndAddress, LinkEndAddress]
}

/** A part of the period in which the same links have their turn. */
export interface Slot {
  /** From the begin of the period, in milliseconds. */
  readonly fromMs: number
  readonly untilMs: number
  readonly turns: readonly Turn[]
}

/** Who may use which modules when; it repeats with its period. */
export interface SwitchSchedule {
  readonly periodMs: number
  /** How long a switch turns, and the ends align, before light runs over a new connection, in milliseconds. */
  readonly switchingMs: number
  readonly slots: readonly Slot[]
  /** Share of time with light, by link ID: switching is taken off. */
  readonly lightShares: ReadonlyMap<string, number>
}

/** What a schedule is made from. */
export interface ScheduleOptions {
  readonly sites: readonly SwitchedSite[]
  readonly links: readonly SharedLink[]
  /** In milliseconds, 0 or more. */
  readonly switchingMs: number
  /** In milliseconds. Default: the shortest of 10 · 2^n switching times, at least a second, that keeps the tolerance. */
  readonly periodMs?: number
  /** By how much a link's share of light may be off its time share, relatively. Default 0.01. */
  readonly tolerance?: number
}

const LONGEST_PERIOD_MS = 7 * 86_400_000

/**
 * A schedule that gives every link its time share in light, the time of switching on top where the sites have it to spare
 * and within the tolerance where they have not.
 * @throws {InvalidArgumentError} the shares cannot be had with these modules, with how much of them can
 */
export function planSchedule(options: ScheduleOptions): SwitchSchedule {
  const { switchingMs, periodMs, tolerance = 0.01 } = options
  const modules = modulesBySite(options.sites, options.links)
  const needed = lengthOf(cutIntoMatchings(modules, options.links))
  if (needed > 1 + tolerance) {
    throw new InvalidArgumentError(
      `The time shares need ${(100 * needed).toFixed(1)} % of the time with these modules; scale them by ${(1 / needed).toFixed(3)}, or add modules`,
    )
  }
  for (let tryMs = periodMs ?? Math.max(10 * switchingMs, 1000); ; tryMs *= 2) {
    const schedule = scheduleWithin(tryMs, { ...options, modules })
    if (off(schedule, options.links) <= tolerance) return schedule
    if (periodMs === undefined && tryMs < LONGEST_PERIOD_MS) continue
    throw new InvalidArgumentError(
      `A period of ${tryMs} ms is too short for switching times of ${switchingMs} ms: a link's share would be off by ${(100 * off(schedule, options.links)).toFixed(1)} %`,
    )
  }
}

/** What has light at a moment, and until when. */
export interface SwitchState {
  readonly turns: readonly (Turn & { readonly lit: boolean })[]
  /** When something changes next, in milliseconds of the same clock. */
  readonly untilMs: number
}

/** The state of all switches at `atMs` of a clock that the sites share. */
export function stateAt(schedule: SwitchSchedule, atMs: number): SwitchState {
  const { periodMs, slots, switchingMs } = schedule
  const beganMs = Math.floor(atMs / periodMs) * periodMs
  const at = slots.findIndex(({ untilMs }) => beganMs + untilMs > atMs)
  if (at === -1) return { turns: [], untilMs: beganMs + periodMs }
  const slot = slots[at]!
  const litFromMs = beganMs + slot.fromMs + switchingMs
  const before = at > 0 ? slots[at - 1] : slots.at(-1)!.untilMs >= periodMs - 1e-6 ? slots.at(-1) : undefined
  const turns = slot.turns.map(turn => ({
    ...turn,
    lit: atMs >= litFromMs || (before !== undefined && runsIn(before, turn)),
  }))
  const endMs = beganMs + slot.untilMs
  return { turns, untilMs: turns.every(({ lit }) => lit) ? endMs : Math.min(litFromMs, endMs) }
}

/** `hall/0:3`, module 0 of the site behind port 3 of its switch. */
export function addressText({ siteId, module, port }: LinkEndAddress): string {
  return `${siteId}/${module}:${port}`
}

interface Layout extends ScheduleOptions {
  readonly modules: ReadonlyMap<string, number>
}

/** Asks for each link's switching on top of its share; where that is too much, all give up alike. */
function scheduleWithin(periodMs: number, { links, modules, switchingMs }: Layout): SwitchSchedule {
  let starts = new Map(links.map(({ id }) => [id, 1]))
  let schedule: SwitchSchedule | undefined
  for (let round = 0; round < 8; round++) {
    const asked = links.map(link => {
      const extra = link.timeShare === 0 ? 0 : ((starts.get(link.id) ?? 0) * switchingMs) / periodMs
      return { ...link, timeShare: Math.min(link.timeShare + extra, 1) }
    })
    const matchings = ordered(cutIntoMatchings(modules, asked))
    const scale = Math.min(1, 1 / lengthOf(matchings))
    schedule = lay(matchings, { periodMs, switchingMs, scale, modules, links })
    const counted = startsOf(schedule)
    if ([...counted].every(([id, count]) => starts.get(id) === count)) break
    starts = counted
  }
  return schedule!
}

function lengthOf(matchings: readonly Matching[]): number {
  return matchings.reduce((sum, { share }) => sum + share, 0)
}

/** Sets that have most in common next to each other: what goes on need not be switched. */
function ordered(matchings: readonly Matching[]): Matching[] {
  const rest = [...matchings]
  const out = rest.splice(0, 1)
  while (rest.length > 0) {
    const last = new Set(out.at(-1)!.links.map(({ id }) => id))
    const common = rest.map(({ links }) => links.filter(({ id }) => last.has(id)).length)
    out.push(...rest.splice(common.indexOf(Math.max(...common)), 1))
  }
  return out
}

function lay(
  matchings: readonly Matching[],
  {
    periodMs,
    switchingMs,
    scale,
    modules,
    links,
  }: {
    periodMs: number
    switchingMs: number
    scale: number
    modules: ReadonlyMap<string, number>
    links: readonly SharedLink[]
  },
): SwitchSchedule {
  const ports = portsOf(links)
  let atMs = 0
  let before: readonly Turn[] = []
  const slots = matchings.map(({ share, links: running }): Slot => {
    const fromMs = atMs
    atMs += share * scale * periodMs
    before = assign(running, { before, modules, ports })
    return { fromMs, untilMs: atMs, turns: before }
  })
  const schedule = { periodMs, switchingMs, slots, lightShares: new Map<string, number>() }
  const lightShares = new Map(links.map(({ id }) => [id, lightOf(schedule, id)]))
  return { ...schedule, lightShares }
}

/** Ports in the order of the links at each site. */
function portsOf(links: readonly SharedLink[]): Map<string, number> {
  const used = new Map<string, number>()
  const ports = new Map<string, number>()
  for (const { id, a, b } of links) {
    for (const site of [a, b]) {
      const port = used.get(site) ?? 0
      ports.set(`${site} ${id}`, port)
      used.set(site, port + 1)
    }
  }
  return ports
}

/** Modules for the links of a set: a link that goes on keeps its own, the others get the lowest that are free. */
function assign(
  links: readonly SharedLink[],
  {
    before,
    modules,
    ports,
  }: { before: readonly Turn[]; modules: ReadonlyMap<string, number>; ports: ReadonlyMap<string, number> },
): Turn[] {
  const kept = new Map(before.map(turn => [turn.linkId, turn]))
  const taken = new Set(links.flatMap(({ id }) => kept.get(id)?.ends.map(moduleKey) ?? []))
  const end = (siteId: string, linkId: string): LinkEndAddress => {
    const port = ports.get(`${siteId} ${linkId}`)!
    if (!Number.isFinite(modules.get(siteId)!)) return { siteId, module: port, port }
    let module = 0
    while (taken.has(moduleKey({ siteId, module }))) module++
    taken.add(moduleKey({ siteId, module }))
    return { siteId, module, port }
  }
  return links.map(({ id, a, b }) => kept.get(id) ?? { linkId: id, ends: [end(a, id), end(b, id)] })
}

function moduleKey({ siteId, module }: Pick<LinkEndAddress, 'siteId' | 'module'>): string {
  return `${module} ${siteId}`
}

function runsIn(slot: Slot, turn: Turn): boolean {
  return slot.turns.some(
    ({ linkId, ends }) => linkId === turn.linkId && ends.every((end, at) => end.module === turn.ends[at]!.module),
  )
}

/** How often each link is switched on in a period. */
function startsOf({ slots, periodMs }: SwitchSchedule): Map<string, number> {
  const starts = new Map<string, number>()
  for (const [at, slot] of slots.entries()) {
    const last = slots.at(-1)!
    const before = at > 0 ? slots[at - 1]! : last.untilMs >= periodMs - 1e-6 ? last : undefined
    for (const turn of slot.turns) {
      const goesOn = before !== undefined && runsIn(before, turn)
      starts.set(turn.linkId, (starts.get(turn.linkId) ?? 0) + (goesOn ? 0 : 1))
    }
  }
  return starts
}

function lightOf(schedule: SwitchSchedule, linkId: string): number {
  const { slots, switchingMs, periodMs } = schedule
  let litMs = 0
  for (const [at, slot] of slots.entries()) {
    const turn = slot.turns.find(one => one.linkId === linkId)
    if (turn === undefined) continue
    const last = slots.at(-1)!
    const before = at > 0 ? slots[at - 1]! : last.untilMs >= periodMs - 1e-6 ? last : undefined
    const darkMs = before !== undefined && runsIn(before, turn) ? 0 : switchingMs
    litMs += Math.max(slot.untilMs - slot.fromMs - darkMs, 0)
  }
  return litMs / periodMs
}

/** By how much the light of the worst link is off its share. */
function off({ lightShares }: SwitchSchedule, links: readonly SharedLink[]): number {
  const misses = links.map(({ id, timeShare }) =>
    timeShare === 0 ? lightShares.get(id)! : Math.abs(lightShares.get(id)! / timeShare - 1),
  )
  return Math.max(0, ...misses)
}
