import type { AbortOptions } from './lifecycle.ts'

/**
 * Which keys an incident is about: those that meet all that is named, and at least one thing is. A time range is that in which
 * a key's block was on its way; where nothing but a pair of SAEs is named beside it, that in which the key was issued.
 */
export interface IncidentSelector {
  /** Keys that both of these SAEs get. */
  readonly saePair?: readonly [string, string]
  /** Keys of the pool with that site. */
  readonly pool?: string
  /** Keys whose blocks came over that link; `site-a/site-b` names every link between two sites. */
  readonly link?: string
  /** Keys of whose blocks that relay, or border, carried something. */
  readonly relay?: string
  /** Wall clock, in milliseconds. */
  readonly sinceMs?: number
  readonly untilMs?: number
}

/** What is done about the keys: held back; erased as far as they were not delivered, and the rest held back; free again. */
export type IncidentState = 'held' | 'invalidated' | 'released'

/** An incident as each site that knows of it keeps it. */
export interface Incident {
  readonly id: string
  readonly state: IncidentState
  readonly selector: IncidentSelector
  /** The site at which it was declared; it alone changes it, and tells the others. */
  readonly originSiteId: string
  /** Who declared it, and why, as far as they said. */
  readonly by: string
  readonly reason?: string
  readonly openedAtMs: number
  /** When it came into its present state. */
  readonly changedAtMs: number
}

/** What an incident comes to in one pool of one site: what a site says when it is told. */
export interface IncidentEffect {
  /** Blocks that are held back now, or were erased. */
  readonly blocks: number
  /** Of these, the ones that this site erased. */
  readonly erased: number
}

/** Where an incident stands at one other site that shares affected keys. */
export interface IncidentSite {
  readonly siteId: string
  /** `told`: it holds, durably, to the present state. */
  readonly state: 'told' | 'untold'
  /** Why it could not be told; it is as soon as it can be. */
  readonly reason?: string
  readonly effect?: IncidentEffect
}

/** An incident as its own site sees it. */
export interface IncidentView extends Incident {
  /** What it is about, in words. */
  readonly about: string
  readonly sites: readonly IncidentSite[]
  /** At this site. */
  readonly effect: IncidentEffect
}

/** Where a security officer declares incidents. */
export interface IncidentDesk {
  /**
   * Holds keys back, or erases them, at this site and at every other that shares them: both have done so, durably, when this
   * resolves, or the view says which could not be told. It is told as soon as it can be.
   * @throws {InvalidArgumentError} nothing is named, or what is named is not known here
   * @throws {StoreError} it is not durable here: nothing was done
   */
  open(
    incident: Pick<Incident, 'selector' | 'by' | 'reason'> & { readonly state: 'held' | 'invalidated' },
    options?: AbortOptions,
  ): Promise<IncidentView>
  /**
   * Erases what an incident holds back.
   * @throws {InvalidArgumentError} there is no such incident of this site, or it is over
   */
  invalidate(id: string, options: AbortOptions & Pick<Incident, 'by'>): Promise<IncidentView>
  /** Gives free what an incident holds back and nobody has erased. Throws as `invalidate` does. */
  release(id: string, options: AbortOptions & Pick<Incident, 'by'>): Promise<IncidentView>
  /** All that are open, of this site and of others, and those of this site that not everybody knows to be over. */
  list(): IncidentView[]
}
