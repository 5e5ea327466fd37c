import type { SecurityLevel, TrustClass } from './kms.ts'

/** What happens to a request when the pool has too little for it (design, section 4). */
export type LowPoolResponse = 'wait' | 'expand' | 'post-quantum' | 'refuse'

/** Days as a policy names them. */
export type WeekDay = 'mon' | 'tue' | 'wed' | 'thu' | 'fri' | 'sat' | 'sun'

/** Part of a week. `to` before `from` runs past midnight, and belongs to the day on which it began. */
export interface TimeWindow {
  /** Default every day. */
  readonly days?: readonly WeekDay[]
  /** `HH:MM`, included. Default `00:00`. */
  readonly from?: string
  /** `HH:MM`, left out. Default `24:00`. */
  readonly to?: string
  /** Offset of these times from UTC, as `+02:00`. Default `+00:00`. */
  readonly utcOffset?: string
}

/**
 * Which requests a rule is for: all that is given must hold. An SAE is named whole, by the beginning (`backup-*`), by its
 * group (`@backup`), or `*` for any.
 */
export interface PolicyMatch {
  readonly master?: readonly string[]
  readonly slave?: readonly string[]
  /** Site at the other end. */
  readonly peerSite?: readonly string[]
  /** What the key is for, as the host says: `tls`, `strongswan`, `kerberos`, or a name of its own. */
  readonly integration?: readonly string[]
  readonly time?: TimeWindow
}

/** How much key may be burned. A key burns whole cells of 256 bits, those skipped for it included. */
export interface PolicyRate {
  readonly bitsPerSecond: number
  /** What may be burned at once after a quiet time. Default one second's worth, at least one cell. */
  readonly burstBits?: number
}

/** What a rule grants. What it leaves out comes from the policy's `defaults`, then from the KMS. */
export interface PolicyTerms {
  /** Levels that may be asked for. */
  readonly levels?: readonly SecurityLevel[]
  /** Level of a request that names none; one of `levels`. */
  readonly level?: SecurityLevel
  /** How keys of level `hybrid` are made: cells XOR a mask for each key, or a KDF over both secrets. Default `xor`. */
  readonly hybrid?: 'xor' | 'kdf'
  /** How the key may have come. Default any. */
  readonly trustClasses?: readonly TrustClass[]
  readonly minKeySizeBits?: number
  readonly maxKeySizeBits?: number
  readonly maxKeysPerRequest?: number
  /** How long a key may wait to be fetched, in milliseconds; may only shorten the pool's lifetime. */
  readonly lifetimeMs?: number
  /** For each master SAE by itself. */
  readonly rate?: PolicyRate
  /** Keys issued for a pair of SAEs that may still be fetched, at most. */
  readonly maxUnfetchedKeys?: number
  /** 0 to 9; higher goes first. */
  readonly priority?: number
  /**
   * What happens when the pool runs low. `wait`: up to `waitMs` (default as long as the request may), then 503. The others
   * after `waitMs` (default 0); `expand` and `post-quantum` lower the level of a request that allows it, at most at `rate`
   * (default 100 keys of 256 bits a second, 1,000 at once).
   */
  readonly whenLow?: { readonly response: LowPoolResponse; readonly waitMs?: number; readonly rate?: PolicyRate }
}

/** One rule; the first that matches decides. */
export interface PolicyRule extends PolicyTerms {
  readonly name: string
  readonly match?: PolicyMatch
  /** True refuses every request that this rule matches. */
  readonly deny?: boolean
}

/** Hosts that a rule may name together. */
export interface PolicyGroup {
  readonly saes: readonly string[]
  /** What all its members may burn together, as masters. */
  readonly rate?: PolicyRate
}

/** Part of each pool that only requests of some priority may use. */
export interface PolicyReserve {
  /** 1 to 9: the lowest priority that may use it. */
  readonly priority: number
  /** Share of what the pool holds when it is full, 0 to 0.9. */
  readonly share: number
}

/** A policy file, in JSON or YAML. */
export interface PolicyFile {
  readonly $schema?: string
  readonly groups?: Readonly<Record<string, PolicyGroup>>
  readonly defaults?: PolicyTerms
  readonly reserves?: readonly PolicyReserve[]
  /** Cells of 256 bits that may be made from one seed cell, or as one block of the sites' secret: 1 to 998. Default 128. */
  readonly cellsPerSeed?: number
  readonly rules: readonly PolicyRule[]
  /** What becomes of a request that no rule matches. */
  readonly otherwise: 'allow' | 'deny'
}
