/** Paths of one share at most: what is kept of a block's way is bounded. */
const MAX_PATHS = 32

/** Who runs a site: shares are kept apart by it. */
export type SiteDomains = (siteId: string) => string

/**
 * Which relays were ever sent which share of one key (rule R13). A relay, and whoever runs it, sees one share at most: a
 * path that breaks this is not admitted, for a share that was sent once cannot be taken back.
 */
export class RelaySets {
  readonly #domainOf: SiteDomains
  readonly #domains: Set<string>[]
  readonly #relays = new Set<string>()
  /** The share that was ever sent over the direct link, which no relay sees. */
  #direct: number | undefined
  readonly #paths: Map<string, readonly string[]>[]

  constructor(shares: number, domainOf: SiteDomains = siteId => siteId) {
    this.#domainOf = domainOf
    this.#domains = Array.from({ length: shares }, () => new Set())
    this.#paths = Array.from({ length: shares }, () => new Map())
  }

  /** Every relay that was sent a share, sorted. */
  get relays(): readonly string[] {
    return [...this.#relays].sort()
  }

  /** The paths that each share was ever sent over. */
  get shares(): readonly (readonly (readonly string[])[])[] {
    return this.#paths.map(paths => [...paths.values()])
  }

  /** Notes that the share goes over this path, both ends included; false, and nothing is noted, where it must not. */
  admit(share: number, path: readonly string[]): boolean {
    const own = this.#domains[share]
    const paths = this.#paths[share]
    if (own === undefined || paths === undefined || paths.size >= MAX_PATHS) return false
    const relays = path.slice(1, -1)
    const others = this.#domains.filter((_, i) => i !== share)
    // The direct link is a path of its own (rule L7): one share at most, and never one that was elsewhere before, because
    // two shares over it would be one share for who breaks that link.
    const isTaken = own.size > 0 || (this.#direct ?? share) !== share
    if (relays.length === 0 && others.length > 0 && isTaken) return false
    const domains = relays.map(this.#domainOf)
    if (others.some(seen => domains.some(domain => seen.has(domain)))) return false
    if (relays.length === 0) this.#direct = share
    for (const domain of domains) own.add(domain)
    for (const relay of relays) this.#relays.add(relay)
    paths.set(path.join('\n'), path)
    return true
  }
}

/** Whether the paths, one a share, may carry the shares of one key: they meet in no relay and in nobody who runs one. */
export function areDisjoint(paths: readonly (readonly string[])[], domainOf?: SiteDomains): boolean {
  const sets = new RelaySets(paths.length, domainOf)
  return paths.every((path, share) => sets.admit(share, path))
}
