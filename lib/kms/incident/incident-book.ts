import { InvalidArgumentError, StoreError } from '../../errors.ts'
import type { Incident, IncidentEffect } from '../../interface/incident.ts'
import type { PoolStore } from '../../interface/pool-store.ts'

/** Stands beside the pools in the store, and has notes alone. */
export const INCIDENTS_POOL_ID = 'incidents'
const PREFIX = 'incident '
/** Incidents of one site that are kept at most: what a peer can make this site keep, too. */
const MAX_PER_SITE = 256

/** What one other site has said that it has done. */
export interface Told {
  readonly siteId: string
  /** When the state that it holds to began. */
  readonly changedAtMs: number
  readonly effect: IncidentEffect
}

/** An incident, and which of the sites that it is told to know of it. */
export interface BookedIncident extends Incident {
  readonly told: readonly Told[]
}

type Entries = Map<string, { readonly version: number; readonly incident: BookedIncident }>

/**
 * The incidents that a site holds to, its own and those that others told it of: durable before anything is said or done, so
 * that a crash at any moment leaves them in force.
 */
export class IncidentBook {
  readonly #store: PoolStore
  readonly #entries: Entries
  /** One change after the other: each goes by the version that the one before has left. */
  #turn: Promise<unknown> = Promise.resolve()

  private constructor(store: PoolStore, entries: Entries) {
    this.#store = store
    this.#entries = entries
  }

  /** @throws {StoreError} the store can't be read */
  static async open(store: PoolStore): Promise<IncidentBook> {
    return new IncidentBook(store, await readEntries(store))
  }

  /**
   * What a book in that store would hold, without the right to change it.
   * @throws {StoreError} the store can't be read
   */
  static async read(store: Pick<PoolStore, 'snapshot'>): Promise<readonly BookedIncident[]> {
    return [...(await readEntries(store)).values()].map(({ incident }) => incident)
  }

  /** All of them, the oldest first. */
  get incidents(): readonly BookedIncident[] {
    return [...this.#entries.values()].map(({ incident }) => incident).sort((a, b) => a.openedAtMs - b.openedAtMs)
  }

  /** The incident of that site with that ID. */
  find(originSiteId: string, id: string): BookedIncident | undefined {
    return this.#entries.get(nameOf({ originSiteId, id }))?.incident
  }

  /**
   * To be asked before anybody is told of a new one.
   * @throws {InvalidArgumentError} there are too many of its site
   */
  requireRoom(incident: Incident): void {
    const ofSite = this.incidents.filter(({ originSiteId }) => originSiteId === incident.originSiteId)
    if (!this.#entries.has(nameOf(incident)) && ofSite.length >= MAX_PER_SITE)
      throw new InvalidArgumentError(`${incident.originSiteId} has ${MAX_PER_SITE} incidents open; release some`)
  }

  /**
   * Writes an incident, or its new state; durable when it resolves.
   * @throws {InvalidArgumentError} there are too many of its site
   * @throws {StoreError} it is not durable
   */
  put(incident: BookedIncident): Promise<void> {
    return this.#inTurn(() => this.#put(incident))
  }

  /** Notes what a site has said of the state that began at `changedAtMs`; passed over where that is no longer the state. */
  noteTold(incident: Incident, told: Told): Promise<void> {
    return this.#inTurn(async () => {
      // Looked at in turn: several sites answer at once, and none may take away what another has said.
      const known = this.find(incident.originSiteId, incident.id)
      if (known === undefined || known.changedAtMs !== told.changedAtMs) return
      await this.#put({ ...known, told: [...known.told.filter(({ siteId }) => siteId !== told.siteId), told] })
    })
  }

  /** Forgets an incident that is over. */
  remove(incident: Incident): Promise<void> {
    return this.#inTurn(async () => {
      const name = nameOf(incident)
      const known = this.#entries.get(name)
      if (known === undefined) return
      await this.#commit(name, known.version, undefined)
      this.#entries.delete(name)
    })
  }

  async #put(incident: BookedIncident): Promise<void> {
    const name = nameOf(incident)
    const from = this.#entries.get(name)?.version ?? 0
    this.requireRoom(incident)
    await this.#commit(name, from, Buffer.from(JSON.stringify(incident)))
    this.#entries.set(name, { version: from + 1, incident })
  }

  async #commit(name: string, from: number, value: Uint8Array | undefined): Promise<void> {
    const result = await this.#store.commit(INCIDENTS_POOL_ID, [{ kind: 'note', name, from, value }])
    if (!result.ok) throw new StoreError(`An incident cannot be written: ${result.refusal}`)
  }

  #inTurn<T>(run: () => Promise<T>): Promise<T> {
    const turn = this.#turn.then(run, run)
    this.#turn = turn.catch(() => {})
    return turn
  }
}

function nameOf({ originSiteId, id }: Pick<Incident, 'originSiteId' | 'id'>): string {
  return `${PREFIX}${originSiteId} ${id}`
}

async function readEntries(store: Pick<PoolStore, 'snapshot'>): Promise<Entries> {
  const { notes } = await store.snapshot(INCIDENTS_POOL_ID)
  const entries: Entries = new Map()
  for (const [name, { version, value }] of notes) {
    const incident = JSON.parse(Buffer.from(value).toString('utf8')) as BookedIncident
    entries.set(name, { version, incident })
  }
  return entries
}
