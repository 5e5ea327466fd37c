import { type AbortOptions, InvalidArgumentError } from '../../../lib/index.ts'
import { type Announcement, type KvnoEntry, KvnoTable, wipeKeys } from '../kvno-table.ts'
import type { KeySink } from './key-sink.ts'
import type { KeyedPrincipal } from './keyed-principal.ts'
import type { LedgerStore } from './ledger-store.ts'

/** Options of `KeyLedger`. */
export interface KeyLedgerOptions {
  readonly principals: readonly KeyedPrincipal[]
  readonly sink: KeySink
  readonly store: LedgerStore
  /** Default the system's clock. */
  readonly now?: () => number
}

/**
 * The key versions of one agent: the table, what is written down of it, and where the keys are put. Each step is written
 * down first and put in place then, so that a restart only has to put in place again. One step at a time.
 */
export class KeyLedger implements Disposable {
  readonly table: KvnoTable
  readonly #principals: Map<string, KeyedPrincipal>
  readonly #sink: KeySink
  readonly #store: LedgerStore
  readonly #now: () => number
  /** kvnos that stood in the sink before the first agreement, and since when they are superseded. */
  readonly #foreign = new Map<string, { kvnos: readonly number[]; endsMs: number | undefined }>()
  /** Principals whose versions are written down and could not be put in place. */
  readonly #unsettled = new Set<string>()
  #last: Promise<unknown> = Promise.resolve()

  constructor({ principals, sink, store, now = Date.now }: KeyLedgerOptions) {
    this.table = new KvnoTable({ now })
    this.#principals = new Map(principals.map(each => [each.principal, each]))
    if (this.#principals.size !== principals.length) throw new InvalidArgumentError('principals names one twice')
    this.#sink = sink
    this.#store = store
    this.#now = now
  }

  /** What the principal's terms are here. */
  terms(principal: string): KeyedPrincipal | undefined {
    return this.#principals.get(principal)
  }

  get principals(): readonly KeyedPrincipal[] {
    return [...this.#principals.values()]
  }

  /** Reads what was written down, and puts it in place again. */
  async open(options?: AbortOptions): Promise<void> {
    await this.#inTurn(async () => {
      const saved = await this.#store.load(options)
      for (const { principal, foreign, versions } of saved) {
        if (!this.#principals.has(principal)) {
          for (const { keys } of versions) wipeKeys(keys)
          continue
        }
        if (foreign !== undefined) this.#foreign.set(principal, foreign)
        for (const version of versions) this.table.restore(version)
      }
      this.table.expire()
      // What can't be written is better known before a key is taken for it.
      await this.#save(options)
      for (const principal of this.#principals.keys()) {
        if (this.table.versions(principal).length > 0) await this.#apply(principal, options)
      }
    })
  }

  /** The epoch to propose next, higher than everything that stands here. */
  async nextEpoch(principal: string, options?: AbortOptions): Promise<number> {
    const last = this.table.lastEpoch(principal)
    if (last > 0) return last + 1
    return Math.max(0, ...(await this.#sink.present(principal, options))) + 1
  }

  /** Takes a version over that both ends hold; an acceptor's KDC or keytab understands it when this resolves. */
  async announce(announcement: Announcement, options?: AbortOptions): Promise<KvnoEntry> {
    const { principal, epoch } = announcement
    return await this.#inTurn(async () => {
      if (!this.#foreign.has(principal)) {
        const present = await this.#sink.present(principal, options)
        this.#foreign.set(principal, { kvnos: present, endsMs: undefined })
      }
      const entry = this.table.announce(announcement)
      try {
        await this.#save(options)
        if (this.terms(principal)?.role === 'acceptor') await this.#apply(principal, options)
        return entry
      } catch (error) {
        this.table.forget(principal, epoch)
        throw error
      }
    })
  }

  /** Makes a version the current one, and lets older ones end after their time. */
  async promote(principal: string, epoch: number, options?: AbortOptions): Promise<KvnoEntry> {
    const terms = this.#require(principal)
    return await this.#inTurn(async () => {
      const entry = this.table.promote(principal, epoch, terms)
      const foreign = this.#foreign.get(principal)
      if (foreign !== undefined && foreign.endsMs === undefined) {
        this.#foreign.set(principal, { ...foreign, endsMs: this.#now() + terms.retainMs })
      }
      await this.#save(options)
      await this.#apply(principal, options)
      return entry
    })
  }

  /** Puts in place what could not be before; to be called before anybody is told that it is. */
  async settle(principal: string, options?: AbortOptions): Promise<void> {
    await this.#inTurn(async () => {
      if (this.#unsettled.has(principal)) await this.#apply(principal, options)
    })
  }

  /** Drops, at an issuer, every version but the current one: what `trust rekey` needs where the kvno can't wrap. */
  async dropOlder(principal: string, options?: AbortOptions): Promise<void> {
    await this.#inTurn(async () => {
      for (const { epoch, state } of this.table.versions(principal)) {
        if (state === 'retained') this.table.forget(principal, epoch)
      }
      this.#foreign.set(principal, { kvnos: [], endsMs: undefined })
      await this.#save(options)
      await this.#apply(principal, options)
    })
  }

  /** Drops the principal altogether; what the sink has of it stays. */
  async forget(principal: string, options?: AbortOptions): Promise<void> {
    this.#require(principal)
    await this.#inTurn(async () => {
      this.table.forget(principal)
      this.#foreign.delete(principal)
      this.#principals.delete(principal)
      this.#unsettled.delete(principal)
      await this.#save(options)
    })
  }

  /** Removes what has ended, here and where the keys are. Gives the versions, keys wiped. */
  async expire(options?: AbortOptions): Promise<KvnoEntry[]> {
    return await this.#inTurn(async () => {
      const ended = this.table.expire()
      const affected = new Set([...this.#unsettled, ...ended.map(({ principal }) => principal)])
      for (const [principal, { kvnos, endsMs }] of this.#foreign) {
        if (endsMs === undefined || endsMs > this.#now() || kvnos.length === 0) continue
        this.#foreign.set(principal, { kvnos: [], endsMs: undefined })
        affected.add(principal)
      }
      if (affected.size > 0) await this.#save(options)
      for (const principal of affected) await this.#apply(principal, options)
      return ended
    })
  }

  /** When something ends next, in milliseconds since 1970; undefined for never. */
  nextEndMs(): number | undefined {
    const ends = this.table
      .principals()
      .flatMap(principal => this.table.versions(principal).map(({ endsMs }) => endsMs))
    for (const { kvnos, endsMs } of this.#foreign.values()) if (kvnos.length > 0) ends.push(endsMs)
    const known = ends.filter(endsMs => endsMs !== undefined)
    return known.length === 0 ? undefined : Math.min(...known)
  }

  /** kvnos from before the first agreement that are still kept. */
  foreignKvnos(principal: string): readonly number[] {
    return this.#foreign.get(principal)?.kvnos ?? []
  }

  /** Wipes every key of this process; what is written down stays. */
  [Symbol.dispose](): void {
    this.table[Symbol.dispose]()
  }

  #require(principal: string): KeyedPrincipal {
    const terms = this.#principals.get(principal)
    if (terms === undefined) throw new InvalidArgumentError(`${principal} is not among the principals of this agent`)
    return terms
  }

  /** An issuer's KDC must not see what is only announced: it would seal with it. */
  async #apply(principal: string, options?: AbortOptions): Promise<void> {
    const { role, maxAgeSeconds } = this.#require(principal)
    const versions = this.table.versions(principal).filter(({ state }) => role === 'acceptor' || state !== 'announced')
    if (versions.length === 0) return
    const current = versions.find(({ state }) => state === 'current')
    const ages = role === 'issuer' && maxAgeSeconds > 0 && current !== undefined
    const expiresMs = ages ? current.sinceMs + maxAgeSeconds * 1000 : undefined
    this.#unsettled.add(principal)
    await this.#sink.apply({ principal, versions, keepForeign: this.foreignKvnos(principal), expiresMs }, options)
    this.#unsettled.delete(principal)
  }

  async #save(options?: AbortOptions): Promise<void> {
    const principals = this.table.principals()
    await this.#store.save(
      principals.map(principal => ({
        principal,
        foreign: this.#foreign.get(principal),
        versions: this.table.versions(principal),
      })),
      options,
    )
  }

  #inTurn<T>(step: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(step, step)
    this.#last = turn.catch(() => {})
    return turn
  }
}
