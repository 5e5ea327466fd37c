import type { DrainState, FillView, LinkView, NetworkEvent } from '../../interface/network-controller.ts'
import type { LinkReport } from '../../interface/network-node.ts'
import { type NetworkLink, RATES } from '../planner/network.ts'
import { FlapDamper } from './flap-damper.ts'

/** Links that one site may report. */
export const MAX_LINKS_OF_SITE = 256
/** Part of each link that is not planned: tags of its frames, and what is sent again, take key as well. */
const HEADROOM = 0.02
/** A change of rate below this share is no news: rates of real links tremble. */
const NEWS_SHARE = 0.02

interface Entry {
  readonly a: string
  readonly b: string
  /** What each end said last, by site. */
  readonly ends: Map<string, LinkReport>
  readonly damper: FlapDamper
  up: boolean
  damped: boolean
  drain: { state: DrainState; fillMs: number; untilMs: number; filled?: boolean } | undefined
}

/** Every link that a node has reported, as both its ends see it. */
export class LinkTable {
  readonly #entries = new Map<string, Entry>()
  readonly #emit: (event: NetworkEvent) => void
  readonly #drained: Set<string>
  readonly #isFilled: (linkId: string, nowMs: number) => boolean

  /**
   * @param isFilled whether all pools that cross the link are full
   * @param drained links that are out of the plans already when they are first reported
   */
  constructor(
    emit: (event: NetworkEvent) => void,
    {
      isFilled = () => false,
      drained = [],
    }: { isFilled?: (linkId: string, nowMs: number) => boolean; drained?: readonly string[] } = {},
  ) {
    this.#emit = emit
    this.#drained = new Set(drained)
    this.#isFilled = isFilled
  }

  /** Links that are out of the plans, or on their way out: what a controller after this one must know. */
  drained(): string[] {
    return [...this.#drained].sort()
  }

  /** Takes over what `siteId` says of its links; true if what can be planned has changed for the worse or the better. */
  report(
    siteId: string,
    reports: readonly LinkReport[],
    options: { knows: (siteId: string) => boolean; nowMs: number },
  ): boolean {
    const told = new Set<string>()
    for (const report of reports.slice(0, MAX_LINKS_OF_SITE)) {
      const entry = this.#entryFor(siteId, report, options.knows)
      if (entry === undefined) continue
      told.add(report.linkId)
      entry.ends.set(siteId, report)
    }
    for (const [linkId, entry] of this.#entries) {
      if (told.has(linkId) || !entry.ends.delete(siteId)) continue
      if (entry.ends.size === 0) this.#entries.delete(linkId)
    }
    return this.refresh(options.nowMs)
  }

  /** Forgets what an end said whose node has been silent for long; the other end's word stands. */
  forget(siteId: string): void {
    for (const [linkId, { ends }] of this.#entries) {
      ends.delete(siteId)
      if (ends.size === 0) this.#entries.delete(linkId)
    }
  }

  /** Looks at each link as of now; true if one came or went since the last look. */
  refresh(nowMs: number): boolean {
    let changed = false
    for (const [linkId, entry] of this.#entries) {
      const up = stateOf(entry) !== 'down'
      if (entry.up && !up) entry.damper.down(nowMs)
      const damped = up && entry.damper.suppressed(nowMs)
      if (this.#endFilling(linkId, entry, nowMs)) changed = true
      if (up === entry.up && damped === entry.damped) continue
      entry.up = up
      entry.damped = damped
      changed = true
      this.#emit({ type: 'link', linkId, state: stateOf(entry), damped })
    }
    return changed
  }

  /** The links by these names or at this site. */
  linksOf(target: { linkId: string } | { siteId: string }): string[] {
    if ('linkId' in target) return this.#entries.has(target.linkId) ? [target.linkId] : []
    return [...this.#entries].filter(([, { a, b }]) => a === target.siteId || b === target.siteId).map(([id]) => id)
  }

  /** Begins to take links out of the plans; those that are on their way out already stay so. */
  drain(linkIds: readonly string[], { nowMs, fillMs }: { nowMs: number; fillMs: number }): void {
    for (const linkId of linkIds) {
      const entry = this.#entries.get(linkId)
      if (entry === undefined || entry.drain !== undefined) continue
      entry.drain = { state: 'filling', fillMs, untilMs: nowMs + fillMs }
      this.#drained.add(linkId)
      this.#emit({ type: 'drain', linkId, state: 'filling' })
    }
  }

  restore(linkIds: readonly string[]): void {
    for (const linkId of linkIds) {
      const entry = this.#entries.get(linkId)
      if (entry?.drain === undefined) continue
      entry.drain = undefined
      this.#drained.delete(linkId)
      this.#emit({ type: 'drain', linkId, state: 'back' })
    }
  }

  /** Links whose pools are filled before they go: for how long in all, and until when at the latest, in milliseconds. */
  filling(): { readonly linkId: string; readonly fillMs: number; readonly untilMs: number }[] {
    return [...this.#entries].flatMap(([linkId, { drain }]) => {
      if (drain?.state !== 'filling') return []
      return [{ linkId, fillMs: drain.fillMs, untilMs: drain.untilMs }]
    })
  }

  /** The links as the planner takes them: what is down, damped or drained has rate 0. */
  network(): NetworkLink[] {
    return [...this.#entries]
      .map(([id, entry]) => {
        const usable = entry.up && !entry.damped && entry.drain?.state !== 'drained'
        return { id, a: entry.a, b: entry.b, rateBps: usable ? steadyRate(rateOf(entry)) * (1 - HEADROOM) : 0 }
      })
      .sort((p, q) => (p.id < q.id ? -1 : 1))
  }

  view(loads: ReadonlyMap<string, number>, filling: ReadonlyMap<string, FillView>): LinkView[] {
    return [...this.#entries]
      .map(([linkId, entry]) => {
        const { a, b, damped, drain, ends } = entry
        const reports = [...ends.values()]
        return {
          linkId,
          a,
          b,
          state: stateOf(entry),
          secrecy: reports[0]!.secrecy,
          rateBps: rateOf(entry),
          loadBps: loads.get(linkId) ?? 0,
          stockBits: Math.min(...reports.map(({ stockBits }) => stockBits)),
          damped,
          ...(drain === undefined ? {} : { drain: drain.state }),
          ...(drain?.filled === undefined ? {} : { filled: drain.filled }),
          ...(filling.has(linkId) ? { filling: filling.get(linkId)! } : {}),
        }
      })
      .sort((p, q) => (p.linkId < q.linkId ? -1 : 1))
  }

  /** Takes a link out whose pools are full, or whose time is over; true if it did. */
  #endFilling(linkId: string, entry: Entry, nowMs: number): boolean {
    if (entry.drain?.state !== 'filling') return false
    const filled = this.#isFilled(linkId, nowMs)
    if (!filled && nowMs < entry.drain.untilMs) return false
    entry.drain = { ...entry.drain, state: 'drained', filled }
    this.#emit({ type: 'drain', linkId, state: 'drained', filled })
    return true
  }

  /** The entry of a link that may end at this site; undefined for one that lies between others. */
  #entryFor(
    siteId: string,
    { linkId, remoteSiteId }: LinkReport,
    knows: (siteId: string) => boolean,
  ): Entry | undefined {
    const known = this.#entries.get(linkId)
    const [a, b] = [siteId, remoteSiteId].sort() as [string, string]
    if (known !== undefined) {
      if (known.a === a && known.b === b) return known
      this.#emit({ type: 'refused', siteId, reason: `Link "${linkId}" joins "${known.a}" and "${known.b}"` })
      return undefined
    }
    if (a === b || !knows(remoteSiteId)) {
      this.#emit({
        type: 'refused',
        siteId,
        reason: `Link "${linkId}" leads to "${remoteSiteId}", no site of this network`,
      })
      return undefined
    }
    const drain = this.#drained.has(linkId) ? ({ state: 'drained', fillMs: 0, untilMs: 0 } as const) : undefined
    const entry: Entry = { a, b, ends: new Map(), damper: new FlapDamper(), up: false, damped: false, drain }
    this.#entries.set(linkId, entry)
    return entry
  }
}

function stateOf({ ends }: Entry): LinkReport['state'] {
  const states = [...ends.values()].map(({ state }) => state)
  if (states.includes('down')) return 'down'
  return states.includes('degraded') ? 'degraded' : 'up'
}

function rateOf({ ends }: Entry): number {
  return Math.min(...[...ends.values()].map(({ rateBps }) => rateBps))
}

/** The rate in steps, so that a network in which nothing happens is not planned anew each second. */
function steadyRate(rateBps: number): number {
  if (rateBps < 2 * RATES.least) return 0
  const step = 10 ** Math.floor(Math.log10(rateBps)) * (NEWS_SHARE / 2)
  return Math.floor(rateBps / step + 1e-9) * step
}
