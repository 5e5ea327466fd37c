import { type AbortOptions, abortable, Listeners, type Unsubscribe } from '../../../lib/index.ts'
import { sectionOf, sectionsOf, textOf } from '../vici/answers.ts'
import { type ListedSa, listedSa } from '../vici/commands.ts'
import type { ViciEvent } from '../vici/connection.ts'

/** Events that the watch lives on. */
export const WATCHED_EVENTS = ['log', 'ike-updown', 'child-updown', 'ike-rekey', 'child-rekey'] as const

/** What charon has told of one IKE_SA. */
export interface SeenSa {
  /** Its number now; another one after each rekeying of the IKE_SA. */
  readonly uniqueId: string
  readonly connection: string
  /** The PPK_ID that charon said it uses for it. */
  readonly ppkId: string | undefined
}

/** What is remembered of it besides. */
interface Remembered extends SeenSa {
  /** The number that it had when it came up. */
  readonly root: string
  /** Undefined until it is up; then whether it has a PPK, as charon says. */
  readonly ppk: boolean | undefined
  /** Names of its children that came up. */
  readonly children: ReadonlySet<string>
  readonly live: boolean
}

/** What the watch tells. */
export type SaNews =
  | { readonly type: 'up' | 'down'; readonly sa: ListedSa }
  /** Says which key an IKE_SA uses: charon's own word. */
  | { readonly type: 'ppk-used'; readonly connection: string; readonly uniqueId: string; readonly ppkId: string }
  /** An initiator has named a key that charon does not have. */
  | { readonly type: 'ppk-missing'; readonly connection: string; readonly ppkId: string }
  | { readonly type: 'child-up'; readonly uniqueId: string; readonly child: string }
  | { readonly type: 'rekeyed'; readonly connection: string; readonly from: string; readonly to: string }

/** More IKE_SAs than a gateway of ours has; the oldest are forgotten. */
const MAX_SEEN = 16_384
const PPK_USED = /^using PPK for PPK_ID '(.+)'$/s
const PPK_MISSING = /^(?:PPK required but )?no PPK (?:found for|for) '(.+?)'(?: found.*)?$/s

/**
 * What charon says of its IKE_SAs, remembered by their numbers. Events come after the answer to the command that caused
 * them, so that whoever needs one waits for it.
 */
export class SaWatch {
  readonly #seen = new Map<string, Remembered>()
  readonly #listeners = new Listeners<SaNews>()

  onNews(listener: (news: SaNews) => void): Unsubscribe {
    return this.#listeners.add(listener)
  }

  /** What is known of the IKE_SA of that number, now or before it was rekeyed. */
  seen(uniqueId: string): SeenSa | undefined {
    const found = this.#seen.get(uniqueId)
    if (found === undefined) return undefined
    let last = found
    for (const each of this.#seen.values()) if (each.root === found.root) last = each
    return last
  }

  /** The number that the IKE_SA had when it came up. */
  rootOf(uniqueId: string): string {
    return this.#seen.get(uniqueId)?.root ?? uniqueId
  }

  /** Resolves with the number of the IKE_SA of which charon says that it uses that PPK_ID, even if it said so before. */
  ppkUsed(connection: string, ppkId: string, { signal }: Required<AbortOptions>): Promise<string> {
    for (const sa of [...this.#seen.values()].reverse()) {
      if (sa.connection === connection && sa.ppkId === ppkId) return Promise.resolve(sa.uniqueId)
    }
    return this.#wait(
      news =>
        news.type === 'ppk-used' && news.connection === connection && news.ppkId === ppkId ? news.uniqueId : undefined,
      { signal },
    )
  }

  /** Numbers of the IKE_SAs of a connection that came up and have not gone, the newest last. */
  live(connection: string): string[] {
    const live = [...this.#seen.values()].filter(sa => sa.connection === connection && sa.live && sa.ppk !== undefined)
    return live.map(({ uniqueId }) => uniqueId)
  }

  /** Resolves with the newest IKE_SA of a connection that is up and has not come of one of `before`. */
  async newcomer(connection: string, before: ReadonlySet<string>, { signal }: Required<AbortOptions>): Promise<string> {
    const roots = new Set([...before].map(uniqueId => this.rootOf(uniqueId)))
    const look = () => this.live(connection).findLast(uniqueId => !roots.has(this.rootOf(uniqueId)))
    return look() ?? (await this.#wait(look, { signal }))
  }

  /** Notes an IKE_SA that came up while nobody watched. */
  seed({ uniqueId, name, ppk, children }: ListedSa): void {
    if (this.#seen.has(uniqueId)) return
    this.#remember(uniqueId, { connection: name, ppk, children: new Set(children.map(child => child.name)) })
  }

  /** Resolves once an IKE_SA and these children of it are up, with whether charon says that it has a PPK. */
  async standing(uniqueId: string, children: readonly string[], { signal }: Required<AbortOptions>): Promise<boolean> {
    const look = () => {
      const sa = this.#seen.get(uniqueId)
      return sa !== undefined && children.every(child => sa.children.has(child)) ? sa.ppk : undefined
    }
    return look() ?? (await this.#wait(look, { signal }))
  }

  /** Resolves once it is known which PPK an IKE_SA uses, or that it is up without one. */
  async named(uniqueId: string, { signal }: Required<AbortOptions>): Promise<void> {
    const look = () => {
      const { ppkId, ppk } = this.#seen.get(uniqueId) ?? {}
      return ppkId !== undefined || ppk !== undefined ? true : undefined
    }
    if (look() === undefined) await this.#wait(look, { signal })
  }

  /** Resolves with the new number of an IKE_SA once it was rekeyed. To be called before the rekeying is asked for. */
  rekeyed(uniqueId: string, { signal }: Required<AbortOptions>): Promise<string> {
    return this.#wait(news => (news.type === 'rekeyed' && news.from === uniqueId ? news.to : undefined), { signal })
  }

  /** After charon has restarted its numbers begin anew. */
  clear(): void {
    this.#seen.clear()
  }

  take({ name, message }: ViciEvent): void {
    if (name === 'log') this.#takeLog(message)
    else if (name === 'ike-updown') this.#takeUpdown(message)
    else if (name === 'child-updown') this.#takeChild(message)
    else if (name === 'ike-rekey') this.#takeRekey(message)
  }

  #takeLog(message: ViciEvent['message']): void {
    const [line, connection, uniqueId] = ['msg', 'ikesa-name', 'ikesa-uniqueid'].map(field => textOf(message, field))
    if (line === undefined || connection === undefined) return
    const used = PPK_USED.exec(line)?.[1]
    if (used !== undefined && uniqueId !== undefined) {
      this.#remember(uniqueId, { connection, ppkId: used })
      this.#listeners.emit({ type: 'ppk-used', connection, uniqueId, ppkId: used })
    }
    const missing = PPK_MISSING.exec(line)?.[1]
    if (missing !== undefined) this.#listeners.emit({ type: 'ppk-missing', connection, ppkId: missing })
  }

  #takeUpdown(message: ViciEvent['message']): void {
    const type = textOf(message, 'up') === 'yes' ? 'up' : 'down'
    for (const [name, section] of sectionsOf(message)) {
      const sa = listedSa(name, section)
      this.#remember(sa.uniqueId, { connection: name, ppk: sa.ppk, live: type === 'up' })
      this.#listeners.emit({ type, sa })
    }
  }

  #takeChild(message: ViciEvent['message']): void {
    if (textOf(message, 'up') !== 'yes') return
    for (const [connection, section] of sectionsOf(message)) {
      const { uniqueId, children } = listedSa(connection, section)
      for (const { name: child } of children) {
        const known = this.#seen.get(uniqueId)?.children ?? []
        this.#remember(uniqueId, { connection, children: new Set([...known, child]) })
        this.#listeners.emit({ type: 'child-up', uniqueId, child })
      }
    }
  }

  #takeRekey(message: ViciEvent['message']): void {
    for (const [connection, section] of sectionsOf(message)) {
      const [from, to] = ['old', 'new'].map(each => textOf(sectionOf(section, each), 'uniqueid'))
      if (from === undefined || to === undefined) continue
      const old = this.#seen.get(from)
      this.#remember(to, { ...old, connection, root: old?.root ?? from, live: true })
      this.#remember(from, { connection, live: false })
      this.#listeners.emit({ type: 'rekeyed', connection, from, to })
    }
  }

  #remember(uniqueId: string, news: Partial<Remembered> & { readonly connection: string }): void {
    const fresh = { ppkId: undefined, root: uniqueId, ppk: undefined, children: new Set<string>(), live: true }
    this.#seen.set(uniqueId, { ...fresh, ...this.#seen.get(uniqueId), ...news, uniqueId })
    if (this.#seen.size <= MAX_SEEN) return
    const [oldest] = this.#seen.keys()
    this.#seen.delete(oldest!)
  }

  #wait<T>(pick: (news: SaNews) => T | undefined, { signal }: Required<AbortOptions>): Promise<T> {
    let stop: Unsubscribe = () => {}
    const found = new Promise<T>(resolve => {
      stop = this.#listeners.add(news => {
        const value = pick(news)
        if (value !== undefined) resolve(value)
      })
    })
    return abortable(found, { signal }).finally(stop)
  }
}
