import { randomBytes } from 'node:crypto'
import { InvalidArgumentError } from '../../errors.ts'
import type { AuditLog } from '../../interface/audit.ts'
import type { Incident, IncidentDesk, IncidentEffect, IncidentSite, IncidentView } from '../../interface/incident.ts'
import type { AbortOptions, Closable } from '../../interface/lifecycle.ts'
import type { Logger } from '../../interface/logger.ts'
import type { PoolStore } from '../../interface/pool-store.ts'
import type { Telemetry } from '../../interface/telemetry.ts'
import { type Hold, heldBack } from '../pool/block-holds.ts'
import type { KeyPool } from '../pool/key-pool.ts'
import type { RecentKeys } from '../recent-keys.ts'
import type { SaeRegistry } from '../sae-registry.ts'
import { type BookedIncident, IncidentBook, type Told } from './incident-book.ts'
import { concernsPool, holdIn, holdOf, reachesPool } from './incident-hold.ts'
import { checkSelector, describeSelector, goesByBlock, inRange, namesPair } from './selector.ts'

/** How often those who don't know yet are told again while they are connected, in milliseconds. */
const RETRY_MS = 1000
const MAX_WORDS = 1024

/** What the incidents of a site are kept with. */
export interface SiteIncidentsOptions {
  readonly localSiteId: string
  readonly store: PoolStore
  /** By the ID of the site at the other end. */
  readonly pools: ReadonlyMap<string, KeyPool>
  /** Every incident is written here before it takes effect; undefined for nowhere. */
  readonly audit: AuditLog | undefined
  readonly telemetry: Telemetry
  readonly logger: Logger
  /** Wall clock, in milliseconds. */
  readonly now: () => number
  /** The hosts of all sites. */
  readonly registry: SaeRegistry
  /** Keys that hosts of this site were given of late. */
  readonly recent: RecentKeys
}

/**
 * The incidents of one site: its own, which it tells to every site that shares affected keys until that site has said that it
 * holds to them, and those that it was told of. Written first, then in force here, then told.
 */
export class SiteIncidents implements IncidentDesk, Closable {
  readonly #options: SiteIncidentsOptions
  readonly #book: IncidentBook
  /** Blocks that were erased here since this process began, by incident. */
  readonly #erased = new Map<string, number>()
  /** Why a site could not be told, by incident and site. */
  readonly #untold = new Map<string, string>()
  readonly #timer: NodeJS.Timeout
  #telling: Promise<void> = Promise.resolve()
  #isErasing = false
  /** Rounds of telling that are under way or wait. */
  #tellings = 0
  #closed = false

  private constructor(options: SiteIncidentsOptions, book: IncidentBook) {
    this.#options = options
    this.#book = book
    this.#timer = setInterval(() => this.#retry(), RETRY_MS)
    this.#timer.unref()
  }

  /** Reads what is open, and holds to it before any key can be asked for. */
  static async open(options: SiteIncidentsOptions): Promise<SiteIncidents> {
    const incidents = new SiteIncidents(options, await IncidentBook.open(options.store))
    await incidents.#apply()
    for (const incident of incidents.#book.incidents) incidents.#announce(incident)
    for (const [siteId, pool] of options.pools)
      pool.incidents.serve({
        hear: incident => incidents.#hear(siteId, incident),
        met: () => incidents.#met(siteId),
      })
    return incidents
  }

  async open(
    { selector, state, by, reason }: Parameters<IncidentDesk['open']>[0],
    options: AbortOptions = {},
  ): Promise<IncidentView> {
    const { localSiteId, now } = this.#options
    const checked = checkSelector(selector)
    const id = `${new Date(now()).toISOString().slice(0, 10)}-${randomBytes(4).toString('hex')}`
    const atMs = now()
    const words = { by: by.slice(0, MAX_WORDS), ...(reason !== undefined && { reason: reason.slice(0, MAX_WORDS) }) }
    const times = { openedAtMs: atMs, changedAtMs: atMs }
    const incident = { id, state, selector: checked, originSiteId: localSiteId, ...words, ...times, told: [] }
    if (![...this.#options.pools.keys()].some(remoteSiteId => concernsPool(incident, { localSiteId, remoteSiteId })))
      throw new InvalidArgumentError(`This site shares no keys that ${describeSelector(checked)} could be about`)
    return this.#enact(incident, options)
  }

  invalidate(id: string, options: AbortOptions & Pick<Incident, 'by'>): Promise<IncidentView> {
    return this.#change(id, 'invalidated', options)
  }

  release(id: string, options: AbortOptions & Pick<Incident, 'by'>): Promise<IncidentView> {
    return this.#change(id, 'released', options)
  }

  list(): IncidentView[] {
    return this.#book.incidents.map(incident => this.#viewOf(incident))
  }

  async close(): Promise<void> {
    this.#closed = true
    clearInterval(this.#timer)
    await this.#telling
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #change(
    id: string,
    state: 'invalidated' | 'released',
    { by, signal }: AbortOptions & Pick<Incident, 'by'>,
  ): Promise<IncidentView> {
    const { localSiteId, now } = this.#options
    const known = this.#book.find(localSiteId, id)
    if (known === undefined || known.state === 'released')
      throw new InvalidArgumentError(
        `This site has no open incident ${id}; an incident is changed where it was declared`,
      )
    // Later than the state before, whatever the clock says: sites go by it.
    const changedAtMs = Math.max(now(), known.changedAtMs + 1)
    return this.#enact({ ...known, state, by: by.slice(0, MAX_WORDS), changedAtMs, told: [] }, signal ? { signal } : {})
  }

  /** Written, in force here, told: in this order, so that no crash leaves it half forgotten. */
  async #enact(incident: BookedIncident, { signal }: AbortOptions): Promise<IncidentView> {
    this.#book.requireRoom(incident)
    await this.#write(incident)
    await this.#book.put(incident)
    await this.#apply()
    await this.#settle(incident)
    await Promise.all(this.#sitesOf(incident).map(siteId => this.#tell(siteId, incident, { signal })))
    const view = this.#viewOf(this.#book.find(incident.originSiteId, incident.id) ?? incident)
    this.#announce(this.#book.find(incident.originSiteId, incident.id) ?? incident)
    await this.#forgetIfOver(incident)
    return view
  }

  /** A peer's word: about the pool with it and no other. Said again it changes nothing. */
  async #hear(siteId: string, told: Incident): Promise<IncidentEffect> {
    const incident = requireSound(told, siteId)
    const known = this.#book.find(siteId, incident.id)
    if (known === undefined || known.changedAtMs < incident.changedAtMs) {
      if (incident.state !== 'released') this.#book.requireRoom(incident)
      await this.#write(incident)
      if (incident.state === 'released') await this.#book.remove(incident)
      else await this.#book.put({ ...incident, told: [] })
      await this.#apply()
      this.#announce({ ...incident, told: [] })
    }
    await this.#settle(incident)
    return this.#effectOf(incident)
  }

  /** Puts all that is open in force in every pool; resolves when nothing held is on its way any more. */
  async #apply(): Promise<void> {
    const { pools, localSiteId, now } = this.#options
    await Promise.all(
      [...pools].map(async ([remoteSiteId, pool]) => {
        const sides = { localSiteId, remoteSiteId }
        const open = this.#book.incidents.filter(each => each.state !== 'released' && reachesPool(each, sides))
        await pool.incidents.hold(open.map(incident => holdIn(incident, sides, now)))
      }),
    )
  }

  /** Counts what an incident is about here, and erases it where that is asked: as often as it is said. */
  async #settle(incident: Incident): Promise<void> {
    const { pools, localSiteId, now } = this.#options
    let erased = this.#erased.get(keyOf(incident)) ?? 0
    const hold = holdOf(incident, now)
    for (const [remoteSiteId, pool] of pools) {
      if (incident.state === 'released' || !concernsPool(incident, { localSiteId, remoteSiteId })) continue
      // What concerns some hosts alone is no reason to erase the keys of others.
      if (incident.state === 'invalidated' && hold.isForAll) erased += await pool.incidents.erase(incident.id)
    }
    if (incident.state === 'invalidated' && !hold.isForAll) this.#withdraw(incident, hold)
    if (incident.state === 'released') this.#erased.delete(keyOf(incident))
    else this.#erased.set(keyOf(incident), erased)
  }

  /** Has the other site erase what its hosts have not fetched; what cannot be told stays held there until it expires. */
  #withdraw(incident: Incident, hold: Hold): void {
    const { pools, localSiteId, recent } = this.#options
    for (const [keyId, { issued, peerSiteId, masterSaeId, slaveSaeId, block, atMs }] of recent.entries()) {
      const pool = pools.get(peerSiteId)
      if (!issued || pool === undefined || !pool.connected) continue
      if (!concernsPool(incident, { localSiteId, remoteSiteId: peerSiteId })) continue
      if (!namesPair(incident.selector, [masterSaeId, slaveSaeId])) continue
      const way = block === undefined ? undefined : pool.incidents.wayOf(block)
      const isMeant = hold.isForSaes ? inRange(incident.selector, atMs, atMs) : way !== undefined && hold.holdsWay(way)
      if (isMeant) pool.handovers.withdraw({ masterSaeId, slaveSaeId, keyIds: [keyId] })
    }
  }

  /**
   * Hosts of other domains get their keys by way of a border, which is a relay to them; for hosts of the border itself the keys
   * come out of no pool that could hold them.
   * @throws {PolicyError} an incident is about the border of one of these SAEs, or about all that these SAEs get
   */
  requireFreeBorder(saeIds: readonly string[]): void {
    const { registry, now } = this.#options
    const borders = saeIds.filter(saeId => registry.isForeign(saeId)).map(saeId => registry.siteOf(saeId)!)
    if (borders.length === 0) return
    const nowMs = now()
    const open = this.#book.incidents.find(({ state, selector }) => {
      const isBorder = borders.some(({ siteId, kmeId }) => selector.relay === siteId || selector.relay === kmeId)
      const isMeant = isBorder || !goesByBlock(selector)
      return state !== 'released' && isMeant && namesPair(selector, saeIds) && inRange(selector, nowMs, nowMs)
    })
    if (open !== undefined) throw heldBack(open)
  }

  async #tell(siteId: string, incident: BookedIncident, options: AbortOptions): Promise<void> {
    const { pools } = this.#options
    const { told: _, ...said } = incident
    const key = `${keyOf(incident)} ${siteId}`
    try {
      const effect = await pools.get(siteId)!.incidents.tell(said, options)
      this.#untold.delete(key)
      await this.#book.noteTold(incident, { siteId, changedAtMs: incident.changedAtMs, effect })
    } catch (error) {
      this.#untold.set(key, (error as Error).message)
    }
  }

  /** A peer is there (again): it may have been away, or may have an older store. */
  #met(siteId: string): void {
    const own = this.#book.incidents.filter(
      incident => this.#isOwn(incident) && this.#sitesOf(incident).includes(siteId),
    )
    this.#tellLater(own.map(incident => ({ siteId, incident })))
    this.#eraseLater()
  }

  /** What a crash left undone, and what has come since and is to be erased too. */
  #eraseLater(): void {
    const due = this.#book.incidents.filter(({ state }) => state === 'invalidated')
    if (this.#closed || due.length === 0 || this.#isErasing) return
    this.#isErasing = true
    this.#telling = this.#telling
      .then(async () => {
        for (const incident of due) if (!this.#closed) await this.#settle(incident)
      })
      .catch(error => this.#options.logger.error({ err: String(error) }, 'Blocks of an incident are not erased yet'))
      .finally(() => {
        this.#isErasing = false
      })
  }

  /** One round after the other: a peer that answers nothing must not have rounds pile up. */
  #retry(): void {
    if (this.#tellings > 0) return
    this.#eraseLater()
    const untold = this.#book.incidents
      .filter(incident => this.#isOwn(incident))
      .flatMap(incident =>
        this.#sitesOf(incident)
          .filter(siteId => !isTold(incident, siteId) && this.#options.pools.get(siteId)!.connected)
          .map(siteId => ({ siteId, incident })),
      )
    if (untold.length > 0) this.#tellLater(untold)
  }

  #tellLater(tellings: readonly { siteId: string; incident: BookedIncident }[]): void {
    if (this.#closed || tellings.length === 0) return
    this.#tellings += 1
    this.#telling = this.#telling
      .then(async () => {
        for (const { siteId, incident } of tellings) {
          const now = this.#book.find(incident.originSiteId, incident.id)
          if (this.#closed || now === undefined) continue
          const wasTold = isTold(now, siteId)
          await this.#tell(siteId, now, {})
          const then = this.#book.find(incident.originSiteId, incident.id)
          if (!wasTold && then !== undefined && isTold(then, siteId)) this.#announce(then)
          await this.#forgetIfOver(now)
        }
      })
      .catch(error => this.#options.logger.error({ err: String(error) }, 'An incident could not be told'))
      .finally(() => {
        this.#tellings -= 1
      })
  }

  /** Says how an incident stands: at each change, and when a site knows of it that did not. */
  #announce(incident: BookedIncident): void {
    const { id, state, originSiteId, selector } = incident
    const sites = this.#isOwn(incident) ? this.#sitesOf(incident) : []
    const untold = sites.filter(siteId => !isTold(incident, siteId))
    const about = describeSelector(selector)
    this.#options.telemetry.emit({ type: 'incident', id, state, selector: about, originSiteId, untold })
  }

  /** What is released, and known to be by all, needs no place any more. */
  async #forgetIfOver({ originSiteId, id }: Incident): Promise<void> {
    const incident = this.#book.find(originSiteId, id)
    if (incident?.state !== 'released') return
    if (this.#sitesOf(incident).every(siteId => isTold(incident, siteId))) await this.#book.remove(incident)
  }

  #viewOf(incident: BookedIncident): IncidentView {
    const { told, ...said } = incident
    const sites = this.#isOwn(incident) ? this.#sitesOf(incident) : []
    return {
      ...said,
      about: describeSelector(incident.selector),
      effect: this.#effectOf(incident),
      sites: sites.map(siteId => this.#siteView(incident, siteId)),
    }
  }

  #effectOf(incident: Incident): IncidentEffect {
    const { localSiteId, pools, now } = this.#options
    const erased = this.#erased.get(keyOf(incident)) ?? 0
    if (incident.state === 'released' || holdOf(incident, now).isForSaes) return { blocks: 0, erased }
    const concerned = [...pools].filter(([remoteSiteId]) => concernsPool(incident, { localSiteId, remoteSiteId }))
    return { blocks: concerned.reduce((sum, [, pool]) => sum + pool.incidents.blocksOf(incident.id), erased), erased }
  }

  #siteView(incident: BookedIncident, siteId: string): IncidentSite {
    const told = toldOf(incident, siteId)
    if (told !== undefined) return { siteId, state: 'told', effect: told.effect }
    const reason = this.#untold.get(`${keyOf(incident)} ${siteId}`) ?? 'it was not told since this site started'
    return { siteId, state: 'untold', reason }
  }

  /** Who is told: those too that may share keys with the pool that is named. */
  #sitesOf(incident: Incident): string[] {
    const { localSiteId, pools } = this.#options
    return [...pools.keys()].filter(remoteSiteId => reachesPool(incident, { localSiteId, remoteSiteId }))
  }

  #isOwn({ originSiteId }: Incident): boolean {
    return originSiteId === this.#options.localSiteId
  }

  async #write({ id, state, selector, originSiteId, by, reason }: Incident): Promise<void> {
    const about = describeSelector(selector)
    const words = reason === undefined ? about : `${about}: ${reason}`
    const incident = { id, state, selector, originSiteId, by }
    await this.#options.audit?.record({ event: 'incident', outcome: state, incident, reason: words })
  }
}

function keyOf({ originSiteId, id }: Incident): string {
  return `${originSiteId} ${id}`
}

function toldOf({ told, changedAtMs }: BookedIncident, siteId: string): Told | undefined {
  return told.find(each => each.siteId === siteId && each.changedAtMs === changedAtMs)
}

function isTold(incident: BookedIncident, siteId: string): boolean {
  return toldOf(incident, siteId) !== undefined
}

/** What a peer may say: an incident of its own. */
function requireSound(told: Incident, siteId: string): Incident {
  const { id, state, selector, originSiteId, by, reason, openedAtMs, changedAtMs } = told
  const isSound =
    originSiteId === siteId &&
    typeof selector === 'object' &&
    selector !== null &&
    typeof id === 'string' &&
    /^[0-9a-f-]{1,64}$/.test(id) &&
    ['held', 'invalidated', 'released'].includes(state) &&
    typeof by === 'string' &&
    (reason === undefined || typeof reason === 'string') &&
    Number.isFinite(openedAtMs) &&
    Number.isFinite(changedAtMs)
  if (!isSound) throw new InvalidArgumentError('That is no incident of the peer')
  const words = { by: by.slice(0, MAX_WORDS), ...(reason !== undefined && { reason: reason.slice(0, MAX_WORDS) }) }
  return { id, state, selector: checkSelector(selector), originSiteId, ...words, openedAtMs, changedAtMs }
}
