import { InvalidArgumentError, PolicyError, PoolExhaustedError } from '../../errors.ts'
import type { SecurityLevel, TrustClass } from '../../interface/kms.ts'
import type { PolicyFile, PolicyTerms } from '../../interface/policy.ts'
import { CELL_BYTES, cellsFor } from '../../key/cells.ts'
import { maxKeyBytes } from '../../key/construct.ts'
import type { SaePair } from '../../key/key-id.ts'
import { levelOf, type Suite, suiteOf } from '../../key/selection.ts'
import { kindForSuite } from '../../key/virtual-block.ts'
import { requireInteger } from '../../util/deadline.ts'
import { meetsLevel } from '../../util/security-level.ts'
import { LOWERED_RATE, type Lowering, loweringUnder } from './lowering.ts'
import { Policy, type PolicyVerdict } from './policy.ts'
import { type RateLimit, RateLimits } from './rate-limits.ts'
import { RetrievalAdmission } from './retrieval-admission.ts'
import { SHIPPED_LEVELS } from './shipped-levels.ts'
import { UnfetchedKeys } from './unfetched-keys.ts'

/** What one seed gives where the policy says nothing. */
const CELLS_PER_SEED = 128

/** A site without a policy file gives every host what the configuration's limits allow. */
export const SHIPPED_POLICY: PolicyFile = { rules: [], otherwise: 'allow' }

/** Sizes and numbers of keys that a KMS serves, whatever its policy says. */
export interface KeyLimits {
  readonly keySizeBits: number
  readonly minKeySizeBits: number
  readonly maxKeySizeBits: number
  readonly maxKeyPerRequest: number
  /** Further slaves that one request may name. Default 32; 0 for no multicast. */
  readonly maxSaeIdCount?: number
}

/** What an admission is decided with. */
export interface AdmissionOptions {
  readonly policy: PolicyFile
  readonly limits: KeyLimits
  /** How long an issued key can be fetched at most, in milliseconds. */
  readonly keyLifeMs: number
  readonly now: () => number
  readonly monotonicMs: () => number
}

/** A request for fresh keys, as far as policy is concerned. */
export interface IssueQuestion {
  readonly pair: SaePair
  readonly peerSiteId: string
  readonly integration?: string | undefined
  readonly level?: SecurityLevel | undefined
  readonly minLevel?: SecurityLevel | undefined
  readonly number?: number | undefined
  readonly sizeBits?: number | undefined
  /** Bytes of pool that each key burns, where that is not its size. */
  readonly burnsBytes?: number
}

/** A request that the policy lets in, with what it decided. */
export interface Admitted {
  readonly ruleName: string
  readonly suite: Suite
  readonly number: number
  readonly sizeBytes: number
  readonly priority: number
  /** How long it may wait for key, in milliseconds; undefined where the policy says nothing. */
  readonly waitMs: number | undefined
  /** What it is lowered to when the pool is dry; undefined where its rule lowers nothing. */
  readonly lowering: (Lowering & { /** @throws {PoolExhaustedError} */ charge(): void; refund(): void }) | undefined
  /** Classes that its key may have come by; undefined is any. */
  readonly trustClasses: readonly TrustClass[] | undefined
  /** Share of the full pool that it must leave. */
  readonly reservedShare: number
  /** To be called once the keys are out. */
  issued(): void
  /** To be called where none was given: what it was charged goes back. */
  refused(): void
  /** To be called instead where they were burned: nobody will fetch them, and what they cost was spent. */
  burned(): void
}

/** Applies the policy of a site to requests: who may have what, how much, how soon. */
export class Admission {
  readonly #options: AdmissionOptions
  readonly #rates: RateLimits
  readonly #unfetched: UnfetchedKeys
  #policy: Policy
  /** Which levels a policy takes with which site: asked four times a second, and of many rules. */
  #taken: { policy: Policy | undefined; levels: Map<string, boolean> } = { policy: undefined, levels: new Map() }

  constructor(options: AdmissionOptions) {
    this.#options = options
    this.#policy = new Policy(options.policy)
    this.#rates = new RateLimits(options)
    this.#unfetched = new UnfetchedKeys({ lifeMs: options.keyLifeMs })
  }

  /** The policy in force. */
  get policy(): Policy {
    return this.#policy
  }

  /** Decides by another policy from now on; what was admitted stays so, and buckets keep what is in them. */
  setPolicy(file: PolicyFile): void {
    this.#policy = new Policy(file)
  }

  /**
   * The sizes and numbers that a pair may ask for.
   * @throws {PolicyError} the policy refuses the pair
   */
  limitsFor(pair: SaePair, peerSiteId: string): KeyLimits {
    const { terms } = this.#decide(pair, peerSiteId, undefined)
    return limitsUnder(terms, this.#options.limits)
  }

  /**
   * Lets a request for fresh keys in, charged for what it will burn.
   * @throws {PolicyError} the policy refuses the pair or the level
   * @throws {InvalidArgumentError} size or number are out of range
   * @throws {PoolExhaustedError} a rate or the cap on unfetched keys is reached
   */
  admit({ pair, peerSiteId, integration, level, minLevel, number = 1, sizeBits, burnsBytes }: IssueQuestion): Admitted {
    const verdict = this.#decide(pair, peerSiteId, integration)
    const { terms, ruleName } = verdict
    const limits = limitsUnder(terms, this.#options.limits)
    const size = sizeBits ?? limits.keySizeBits
    requireInteger('number', number, { min: 1, max: limits.maxKeyPerRequest })
    requireInteger('size', size, { min: limits.minKeySizeBits, max: limits.maxKeySizeBits })
    const suite = suiteUnder(verdict, level)
    const sizeBytes = size / 8
    requireFit(suite, sizeBytes, this.cellsPerSeed)
    requireMinLevel(verdict, suite, minLevel)
    const { maxUnfetchedKeys } = terms
    const pairName = maxUnfetchedKeys === undefined ? undefined : nameOf(pair)
    if (pairName !== undefined) this.#requireUnfetched(pairName, number, maxUnfetchedKeys!, ruleName)
    const cells = cellsFor(burnsBytes ?? sizeBytes) * number
    const rates = this.#ratesOf(pair.masterSaeId, verdict)
    this.#rates.charge(rates, cells)
    if (pairName !== undefined) this.#unfetched.hold(pairName, number)
    const ended = () => {
      if (pairName !== undefined) this.#unfetched.letGo(pairName, number)
    }
    const fits = cellsFor(sizeBytes) <= this.cellsPerSeed
    const lowering = fits ? loweringUnder(terms, { level: levelOf(suite), minLevel }) : undefined
    return {
      ruleName,
      suite,
      number,
      sizeBytes,
      priority: terms.priority ?? 0,
      waitMs:
        lowering?.isWanted || terms.whenLow?.response === 'refuse'
          ? (terms.whenLow?.waitMs ?? 0)
          : terms.whenLow?.waitMs,
      lowering: lowering && { ...lowering, ...this.#loweredRate(pair.masterSaeId, verdict, cells) },
      trustClasses: terms.trustClasses,
      reservedShare: this.#reservedAbove(terms.priority ?? 0),
      issued: () => {
        ended()
        if (pairName !== undefined) this.#unfetched.add(pairName, number, this.#options.monotonicMs())
      },
      refused: () => {
        ended()
        this.#rates.refund(rates, cells)
      },
      burned: ended,
    }
  }

  /**
   * The retriever's own word on keys that the peer's KMS issued, before anything is consumed.
   * @throws {PolicyError} the policy refuses the pair, or a level or class of its keys
   */
  admitRetrieval(pair: SaePair, peerSiteId: string): RetrievalAdmission {
    const question = { ...pair, peerSiteId, atMs: this.#options.now() }
    const verdicts = [...this.#policy.mayDecide(question)]
    const allowed = verdicts.filter(verdict => verdict.allowed)
    if (allowed.length === 0) throw denial(pair, verdicts.at(-1)!)
    return new RetrievalAdmission(allowed)
  }

  /** Cells that one seed, or one block of the sites' secret, may give. */
  get cellsPerSeed(): number {
    return this.#policy.file.cellsPerSeed ?? CELLS_PER_SEED
  }

  /** True where some pair of hosts may have keys of this level with that site. */
  takesLevel(level: SecurityLevel, peerSiteId: string): boolean {
    const { policy } = this
    if (this.#taken.policy !== policy) this.#taken = { policy, levels: new Map() }
    const name = `${level} ${peerSiteId}`
    const known = this.#taken.levels.get(name)
    if (known !== undefined) return known
    const takes = takesLevel(policy.file, level, peerSiteId)
    this.#taken.levels.set(name, takes)
    return takes
  }

  #loweredRate(masterSaeId: string, { ruleName, terms }: PolicyVerdict, cells: number) {
    const rate = terms.whenLow?.rate ?? LOWERED_RATE
    const rates = [{ name: `lowered keys of SAE ${masterSaeId} under rule "${ruleName}"`, rate }]
    return {
      charge: () => this.#rates.charge(rates, cells),
      refund: () => this.#rates.refund(rates, cells),
    }
  }

  #decide({ masterSaeId, slaveSaeId }: SaePair, peerSiteId: string, integration: string | undefined): PolicyVerdict {
    const atMs = this.#options.now()
    const verdict = this.#policy.decide({ masterSaeId, slaveSaeId, peerSiteId, integration, atMs })
    if (verdict.allowed) return verdict
    throw denial({ masterSaeId, slaveSaeId }, verdict)
  }

  #ratesOf(masterSaeId: string, { ruleName, terms }: PolicyVerdict): RateLimit[] {
    const own =
      terms.rate === undefined ? [] : [{ name: `SAE ${masterSaeId} under rule "${ruleName}"`, rate: terms.rate }]
    return [...own, ...this.#policy.groupRatesOf(masterSaeId)]
  }

  #requireUnfetched(pairName: string, number: number, max: number, ruleName: string): void {
    const unfetched = this.#unfetched.count(pairName, this.#options.monotonicMs())
    if (unfetched + number <= max) return
    throw new PoolExhaustedError(
      `${unfetched} keys of this pair may still be fetched; rule "${ruleName}" allows ${max}`,
      {
        details: [{ limit: 'unfetched', policy_rule: ruleName, unfetched, allowed: max }],
        retryAfterMs: 1000,
      },
    )
  }

  #reservedAbove(priority: number): number {
    let share = 0
    for (const reserve of this.#policy.file.reserves ?? []) if (reserve.priority > priority) share += reserve.share
    return share
  }
}

function denial({ masterSaeId, slaveSaeId }: SaePair, { ruleName }: PolicyVerdict): PolicyError {
  return new PolicyError(`The policy refuses keys for ${masterSaeId} and ${slaveSaeId} (rule "${ruleName}")`, {
    details: [{ policy_rule: ruleName }],
  })
}

/** A name for a pair of SAEs that no other pair has. */
function nameOf({ masterSaeId, slaveSaeId }: SaePair): string {
  return `${masterSaeId.length}:${masterSaeId}${slaveSaeId}`
}

/** The limits of a rule within those of the KMS. */
function limitsUnder(terms: PolicyTerms, limits: KeyLimits): KeyLimits {
  const minKeySizeBits = Math.max(limits.minKeySizeBits, terms.minKeySizeBits ?? 0)
  const maxKeySizeBits = Math.max(minKeySizeBits, Math.min(limits.maxKeySizeBits, terms.maxKeySizeBits ?? Infinity))
  return {
    minKeySizeBits,
    maxKeySizeBits,
    keySizeBits: Math.min(Math.max(limits.keySizeBits, minKeySizeBits), maxKeySizeBits),
    maxKeyPerRequest: Math.min(limits.maxKeyPerRequest, terms.maxKeysPerRequest ?? Infinity),
  }
}

function suiteUnder({ terms, ruleName }: PolicyVerdict, asked: SecurityLevel | undefined): Suite {
  const levels = terms.levels ?? SHIPPED_LEVELS
  const level = asked ?? terms.level ?? (levels.includes('quantum') ? 'quantum' : levels[0]!)
  if (levels.includes(level)) return suiteOf(level, terms.hybrid)
  throw new PolicyError(`Level ${level} is not offered; it offers ${levels.join(', ')} (rule "${ruleName}")`, {
    details: [{ policy_rule: ruleName, level_asked: level }],
  })
}

function takesLevel({ rules, defaults, otherwise }: PolicyFile, level: SecurityLevel, peerSiteId: string): boolean {
  const takes = (levels = defaults?.levels ?? SHIPPED_LEVELS) => levels.includes(level)
  if (otherwise === 'allow' && takes()) return true
  return rules.some(
    ({ deny, levels, match }) =>
      deny !== true && takes(levels) && match?.peerSite?.some(site => site === '*' || site === peerSiteId) !== false,
  )
}

/** A level that the request leaves to the policy may still be below what it takes. */
function requireMinLevel({ ruleName }: PolicyVerdict, suite: Suite, minLevel: SecurityLevel | undefined): void {
  const level = levelOf(suite)
  if (minLevel === undefined || meetsLevel(level, minLevel)) return
  throw new PolicyError(`Rule "${ruleName}" gives keys of level ${level}, which do not meet minLevel ${minLevel}`, {
    details: [{ policy_rule: ruleName, level_asked: minLevel }],
  })
}

function requireFit(suite: Suite, sizeBytes: number, cellsPerSeed: number): void {
  const max = kindForSuite(suite) === 'network' ? maxKeyBytes(suite) : cellsPerSeed * CELL_BYTES
  if (sizeBytes <= max) return
  throw new InvalidArgumentError(`A key of this level has at most ${max * 8} bits`, {
    details: [{ parameter_name: 'size', parameter_value: sizeBytes * 8 }],
  })
}
