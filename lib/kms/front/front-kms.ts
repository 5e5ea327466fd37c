import { ClosedError, InvalidArgumentError, PolicyError, QkdError } from '../../errors.ts'
import type {
  GetKeyOptions,
  GetKeyWithIdsOptions,
  Key,
  Kms,
  KmsCallOptions,
  KmsStatus,
  SecurityLevel,
  TrustClass,
} from '../../interface/kms.ts'
import type { Telemetry } from '../../interface/telemetry.ts'
import type { SaePair } from '../../key/key-id.ts'
import { levelOf } from '../../key/selection.ts'
import { checkGetKey, checkGetKeyWithIds, requireOtherSae, requireTimeout } from '../../util/kms-arguments.ts'
import { meetsLevel } from '../../util/security-level.ts'
import type { DecisionLog } from '../audit/decision-log.ts'
import type { Admission, Admitted } from '../policy/admission.ts'

/** The way to one far site: a KMS of somebody else's make, as the host sees it, and what its keys are held to be. */
export interface FrontRoute {
  readonly siteId: string
  readonly kms: Kms
  /** Of keys of which the KMS does not say it itself. */
  readonly level: SecurityLevel
  readonly trustClass: TrustClass
}

/** What one host's face of a front is made from. */
export interface FrontKmsOptions {
  readonly saeId: string
  readonly kmeId: string
  /** The way to the site of a host; throws where nobody knows it. */
  readonly routeTo: (parameter: string, saeId: string) => FrontRoute
  readonly admission: Admission
  /** Where decisions are written before keys are handed out; undefined for nowhere. */
  readonly audit: DecisionLog | undefined
  readonly telemetry: Telemetry
}

/**
 * Policy, audit and telemetry in front of somebody else's KMS: what the policy refuses is never asked for, and a key of which
 * the audit log can't tell is wiped instead of handed out. The KMSs behind it check the hosts as before, by their own
 * certificates; they stay the caller's.
 */
export class FrontKms implements Kms {
  readonly saeId: string
  readonly #options: FrontKmsOptions
  #closed = false

  constructor(options: FrontKmsOptions) {
    this.saeId = options.saeId
    this.#options = options
  }

  async getStatus(slaveSaeId: string, options: KmsCallOptions = {}): Promise<KmsStatus> {
    this.#requireOpen(options)
    requireTimeout(options)
    requireOtherSae('slave_SAE_ID', this.saeId, slaveSaeId)
    const { siteId, kms } = this.#options.routeTo('slave_SAE_ID', slaveSaeId)
    const limits = this.#options.admission.limitsFor({ masterSaeId: this.saeId, slaveSaeId }, siteId)
    const status = await kms.getStatus(slaveSaeId, options)
    const minKeySizeBits = Math.max(limits.minKeySizeBits, status.minKeySizeBits)
    const maxKeySizeBits = Math.max(minKeySizeBits, Math.min(limits.maxKeySizeBits, status.maxKeySizeBits))
    return {
      ...status,
      masterSaeId: this.saeId,
      slaveSaeId,
      minKeySizeBits,
      maxKeySizeBits,
      keySizeBits: Math.min(Math.max(limits.keySizeBits, minKeySizeBits), maxKeySizeBits),
      maxKeyPerRequest: Math.min(limits.maxKeyPerRequest, status.maxKeyPerRequest),
    }
  }

  async getKey(slaveSaeId: string, options: GetKeyOptions = {}): Promise<Key[]> {
    return this.#refusing('getKey', slaveSaeId, async () => {
      this.#requireOpen(options)
      checkGetKey(this.saeId, slaveSaeId, options)
      const route = this.#options.routeTo('slave_SAE_ID', slaveSaeId)
      const pair = { masterSaeId: this.saeId, slaveSaeId }
      this.#admitFurther(route, options)
      const { level: _asked, minLevel: _least, integration, ...passedOn } = options
      const admitted = this.#options.admission.admit({ ...options, pair, peerSiteId: route.siteId })
      try {
        requireLevel(route, levelOf(admitted.suite), admitted.ruleName)
        requireClass(route, route.trustClass, admitted)
        const sizeBits = admitted.sizeBytes * 8
        const keys = labelled(await route.kms.getKey(slaveSaeId, { ...passedOn, sizeBits }), route)
        requireWorth(route, keys, admitted)
        await this.#record('issue', { pair, route, rule: admitted.ruleName, integration }, keys)
        admitted.issued()
        return keys
      } catch (error) {
        admitted.refused()
        throw error
      }
    })
  }

  async getKeyWithIds(
    masterSaeId: string,
    keyIds: readonly string[],
    options: GetKeyWithIdsOptions = {},
  ): Promise<Key[]> {
    return this.#refusing('getKeyWithIds', masterSaeId, async () => {
      this.#requireOpen(options)
      checkGetKeyWithIds(masterSaeId, keyIds, options)
      requireOtherSae('master_SAE_ID', this.saeId, masterSaeId)
      const route = this.#options.routeTo('master_SAE_ID', masterSaeId)
      const pair = { masterSaeId, slaveSaeId: this.saeId }
      const terms = this.#options.admission.admitRetrieval(pair, route.siteId)
      // What the KMS itself says of a key comes with it, and so too late to leave it there.
      terms.check(route.level, route.trustClass)
      // A KMS that says no levels could promise none: what its keys are held to be counts, and is looked at before they are spent.
      const { minLevel = route.level, ...passedOn } = options
      requireFloor(route.level, minLevel)
      const keys = labelled(await route.kms.getKeyWithIds(masterSaeId, keyIds, passedOn), route)
      if (options.minLevel !== undefined) requireFloors(keys, minLevel)
      await this.#record('deliver', { pair, route, rule: terms.ruleName }, keys)
      return keys
    })
  }

  async close(): Promise<void> {
    this.#closed = true
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  /** Further slaves are behind the same KMS, and the policy lets each of them share keys with this host. */
  #admitFurther(route: FrontRoute, { additionalSlaveSaeIds = [] }: GetKeyOptions): void {
    for (const slaveSaeId of additionalSlaveSaeIds) {
      const further = this.#options.routeTo('additional_slave_SAE_IDs', slaveSaeId)
      if (further.kms !== route.kms) {
        throw new InvalidArgumentError(`${slaveSaeId} is behind another KMS than the slave: no key serves both`)
      }
      this.#options.admission.limitsFor({ masterSaeId: this.saeId, slaveSaeId }, further.siteId)
    }
  }

  /** Writes what is about to leave, then tells it; keys of which that can't be written are gone. */
  async #record(
    event: 'issue' | 'deliver',
    about: { pair: SaePair; route: FrontRoute; rule: string; integration?: string | undefined },
    keys: readonly Key[],
  ): Promise<void> {
    const { pair, route, rule, integration } = about
    const { audit, telemetry } = this.#options
    const common = { ...pair, peerSiteId: route.siteId }
    try {
      await audit?.allowed({ event, ...common, rule, ...(integration && { integration }) }, keys)
    } catch (error) {
      for (const { secret } of keys) secret.wipe()
      throw error
    }
    const type = event === 'issue' ? 'key-issued' : 'key-retrieved'
    for (const { keyId, sizeBits, level = route.level, trustClass = route.trustClass } of keys) {
      telemetry.emit({ type, ...common, keyId, sizeBits, level, trustClass })
    }
  }

  async #refusing<T>(operation: 'getKey' | 'getKeyWithIds', peerSaeId: string, run: () => Promise<T>): Promise<T> {
    try {
      return await run()
    } catch (error) {
      const code = error instanceof QkdError ? error.code : 'ABORTED'
      const refusal = { operation, saeId: this.saeId, peerSaeId, code, reason: (error as Error).message }
      this.#options.telemetry.emit({ type: 'key-refused', ...refusal })
      this.#options.audit?.refused(refusal)
      throw error
    }
  }

  #requireOpen({ signal }: KmsCallOptions): void {
    if (this.#closed) throw new ClosedError('This Kms is closed')
    signal?.throwIfAborted()
  }
}

/** Keys of one level come out of such a KMS; another can't be made of them here. */
function requireLevel({ level, siteId }: FrontRoute, wanted: SecurityLevel, ruleName: string): void {
  if (wanted === level) return
  throw new PolicyError(`The KMS towards ${siteId} gives keys of level ${level}, not ${wanted} (rule "${ruleName}")`, {
    details: [{ policy_rule: ruleName, level_asked: wanted }],
  })
}

function requireClass(
  { siteId }: FrontRoute,
  trustClass: TrustClass,
  { ruleName, trustClasses }: Pick<Admitted, 'ruleName' | 'trustClasses'>,
): void {
  if (trustClasses?.includes(trustClass) !== false) return
  throw new PolicyError(`The KMS towards ${siteId} gives keys of class ${trustClass} (rule "${ruleName}")`, {
    details: [{ policy_rule: ruleName }],
  })
}

/** What the KMS itself says of a key may be less than it is held to be: such a key is lost, and never handed out. */
function requireWorth(route: FrontRoute, keys: readonly LabelledKey[], admitted: Admitted): void {
  try {
    for (const { level, trustClass } of keys) {
      if (!meetsLevel(level, route.level) && level !== admitted.lowering?.level)
        requireLevel({ ...route, level }, route.level, admitted.ruleName)
      requireClass(route, trustClass, admitted)
    }
  } catch (error) {
    for (const { secret } of keys) secret.wipe()
    throw error
  }
}

function requireFloor(level: SecurityLevel, minLevel: SecurityLevel): void {
  if (meetsLevel(level, minLevel)) return
  throw new PolicyError(`The key is of level ${level}, below the ${minLevel} that was asked for`)
}

function requireFloors(keys: readonly LabelledKey[], minLevel: SecurityLevel): void {
  try {
    for (const { level } of keys) requireFloor(level, minLevel)
  } catch (error) {
    for (const { secret } of keys) secret.wipe()
    throw error
  }
}

interface LabelledKey extends Key {
  readonly level: SecurityLevel
  readonly trustClass: TrustClass
}

function labelled(keys: readonly Key[], { level, trustClass }: FrontRoute): LabelledKey[] {
  return keys.map(key => ({ ...key, level: key.level ?? level, trustClass: key.trustClass ?? trustClass }))
}
