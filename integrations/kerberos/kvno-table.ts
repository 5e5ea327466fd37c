import { InvalidArgumentError, requireInteger } from '../../lib/index.ts'
import { type KerberosKey, requireKeySize } from './enctype.ts'

/** A KDC database keeps key version numbers in 16 bits, and 0 means none. */
export const MAX_KVNO = 65_535

/**
 * Where a key version stands. `announced`: both ends hold it, the issuer does not use it yet. `current`: what the issuer
 * seals with. `retained`: superseded, kept as long as a ticket under it may live.
 */
export type KvnoState = 'announced' | 'current' | 'retained'

/** One key version of one principal, the same at both ends but for times. The table owns the keys: never wipe them. */
export interface KvnoEntry {
  /** As `krbtgt/B.EXAMPLE@A.EXAMPLE`. */
  readonly principal: string
  /** Counts the key versions of the principal and never wraps; from 1. */
  readonly epoch: number
  /** What tickets carry in the clear: `kvnoOf(epoch)`. Shows no place in the pool and no consumption. */
  readonly kvno: number
  /** The key of the pool that it was derived from, as both KMSs name it. */
  readonly keyId: string
  readonly state: KvnoState
  /** One key for each encryption type, the strongest first. */
  readonly keys: readonly KerberosKey[]
  /** When it came into its state, in milliseconds since 1970. */
  readonly sinceMs: number
  /** When a retained version ends; undefined in other states. */
  readonly endsMs: number | undefined
}

/** The look-ups a KDC needs. Neither consumes anything: requests reach them before they are authenticated. */
export interface KvnoLookup {
  /** What tickets for the principal are sealed under now; undefined where there is no key. */
  current(principal: string): KvnoEntry | undefined
  /** That version if it is announced, current or retained; undefined for one that nobody announced, or whose time is over. */
  resolve(principal: string, kvno: number): KvnoEntry | undefined
  /** False where versions may have been announced that are not known here: at a replica without its primary. */
  readonly isFresh?: boolean
}

/** What `announce` takes. The table takes the keys over. */
export type Announcement = Pick<KvnoEntry, 'principal' | 'epoch' | 'keyId' | 'keys'>

/** Options of `KvnoTable`. */
export interface KvnoTableOptions {
  /** Versions held for one principal at a time, of all states. 2 to 1000, default 250. */
  readonly maxVersions?: number
  /** Default the system's clock. */
  readonly now?: () => number
}

/** The kvno of an epoch: after 65535 comes 1. */
export function kvnoOf(epoch: number): number {
  requireInteger('epoch', epoch, { min: 1, max: Number.MAX_SAFE_INTEGER })
  return 1 + ((epoch - 1) % MAX_KVNO)
}

/**
 * Which kvno of which principal is which key. A map in memory: keeping it over a restart, and putting its keys before a
 * KDC, are others' work. It never holds two versions of one kvno.
 */
export class KvnoTable implements KvnoLookup, Disposable {
  readonly #versions = new Map<string, KvnoEntry[]>()
  readonly #maxVersions: number
  readonly #now: () => number

  constructor({ maxVersions = 250, now = Date.now }: KvnoTableOptions = {}) {
    this.#maxVersions = requireInteger('maxVersions', maxVersions, { min: 2, max: 1000 })
    this.#now = now
  }

  /** Every principal with a version, in the order of names. */
  principals(): string[] {
    return [...this.#versions.keys()].sort()
  }

  /** Every version of the principal that has not ended, the newest first. */
  versions(principal: string): readonly KvnoEntry[] {
    return (this.#versions.get(principal) ?? []).filter(entry => !this.#ended(entry))
  }

  current(principal: string): KvnoEntry | undefined {
    return this.versions(principal).find(({ state }) => state === 'current')
  }

  resolve(principal: string, kvno: number): KvnoEntry | undefined {
    return this.versions(principal).find(entry => entry.kvno === kvno)
  }

  /** The highest epoch that the principal ever had in this table; 0 for none. */
  lastEpoch(principal: string): number {
    return this.#versions.get(principal)?.[0]?.epoch ?? 0
  }

  /**
   * Adds a version that both ends hold. It must be newer than every other.
   * @throws {InvalidArgumentError} it is not newer, its kvno is still held, or there are too many; nothing was changed
   */
  announce({ principal, epoch, keyId, keys }: Announcement): KvnoEntry {
    const kvno = kvnoOf(epoch)
    for (const key of keys) requireKeySize(key)
    if (keys.length === 0) throw new InvalidArgumentError(`${principal}: a key version has at least one key`)
    this.expire()
    const held = this.#versions.get(principal) ?? []
    const last = this.lastEpoch(principal)
    if (epoch <= last) throw new InvalidArgumentError(`${principal}: epoch ${epoch} is not newer than ${last}`)
    if (held.some(entry => entry.kvno === kvno)) {
      throw new InvalidArgumentError(`${principal}: kvno ${kvno} is still held for an older key`)
    }
    if (held.length >= this.#maxVersions) {
      throw new InvalidArgumentError(
        `${principal}: ${held.length} key versions are held already; rotate less often, or let tickets live shorter`,
      )
    }
    const entry = {
      principal,
      epoch,
      kvno,
      keyId,
      state: 'announced',
      keys,
      sinceMs: this.#now(),
      endsMs: undefined,
    } as const
    this.#versions.set(principal, [entry, ...held])
    return entry
  }

  /**
   * Makes an announced version the current one. Older versions are retained for `retainMs` from now on; announced ones
   * that were passed over as well, because the other end may have used them.
   * @throws {InvalidArgumentError} the version is not there, or was superseded already
   */
  promote(principal: string, epoch: number, { retainMs }: { retainMs: number }): KvnoEntry {
    const held = this.#versions.get(principal) ?? []
    const wanted = held.find(entry => entry.epoch === epoch)
    if (wanted === undefined || wanted.state === 'retained') {
      throw new InvalidArgumentError(`${principal}: epoch ${epoch} was not announced, or is superseded`)
    }
    const nowMs = this.#now()
    const promoted = held.map((entry): KvnoEntry => {
      if (entry.epoch === epoch)
        return entry.state === 'current' ? entry : { ...entry, state: 'current', sinceMs: nowMs }
      if (entry.epoch > epoch || entry.state === 'retained') return entry
      return { ...entry, state: 'retained', sinceMs: nowMs, endsMs: nowMs + retainMs }
    })
    this.#versions.set(principal, promoted)
    return promoted.find(entry => entry.epoch === epoch)!
  }

  /** Wipes and forgets what has ended; gives it, keys wiped. */
  expire(): KvnoEntry[] {
    const ended: KvnoEntry[] = []
    for (const [principal, held] of this.#versions) {
      const over = held.filter(entry => this.#ended(entry))
      if (over.length === 0) continue
      this.#versions.set(
        principal,
        held.filter(entry => !over.includes(entry)),
      )
      ended.push(...over)
    }
    for (const { keys } of ended) wipeKeys(keys)
    return ended
  }

  /** Wipes and forgets one version, or every version of the principal. */
  forget(principal: string, epoch?: number): void {
    const held = this.#versions.get(principal) ?? []
    const kept = held.filter(entry => epoch !== undefined && entry.epoch !== epoch)
    for (const entry of held) if (!kept.includes(entry)) wipeKeys(entry.keys)
    if (kept.length === 0) this.#versions.delete(principal)
    else this.#versions.set(principal, kept)
  }

  /** Takes a version back as it was before a restart. It must be older than every other: restore the newest first. */
  restore(entry: KvnoEntry): void {
    for (const key of entry.keys) requireKeySize(key)
    const held = this.#versions.get(entry.principal) ?? []
    const oldest = held.at(-1)?.epoch ?? Number.POSITIVE_INFINITY
    if (entry.kvno !== kvnoOf(entry.epoch) || entry.epoch >= oldest || held.length >= this.#maxVersions) {
      throw new InvalidArgumentError(`${entry.principal}: epoch ${entry.epoch} does not fit the others`)
    }
    this.#versions.set(entry.principal, [...held, entry])
  }

  /** Wipes every key. */
  [Symbol.dispose](): void {
    for (const principal of this.principals()) this.forget(principal)
  }

  #ended({ endsMs }: KvnoEntry): boolean {
    return endsMs !== undefined && endsMs <= this.#now()
  }
}

/** Wipes the keys of a version. */
export function wipeKeys(keys: readonly KerberosKey[]): void {
  for (const { secret } of keys) secret.wipe()
}
