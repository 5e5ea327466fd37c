import { hash } from 'node:crypto'
import { ClosedError, InvalidArgumentError, KeyNotFoundError, PolicyError, QkdError } from '../errors.ts'
import type {
  GetKeyOptions,
  GetKeyWithIdsOptions,
  Key,
  KeyReceipt,
  Kms,
  KmsCallOptions,
  KmsStatus,
  PoolOutlook,
  SecurityLevel,
} from '../interface/kms.ts'
import type { Telemetry, TelemetryEvent } from '../interface/telemetry.ts'
import type { TraceAttributes, Tracer } from '../interface/tracer.ts'
import { cellsFor } from '../key/cells.ts'
import { canonicalKeyId, type SaePair } from '../key/key-id.ts'
import { kindForSuite } from '../key/virtual-block.ts'
import { requireInteger } from '../util/deadline.ts'
import {
  checkGetKey,
  checkGetKeyWithIds,
  checkReceipts,
  requireOtherSae,
  requireTimeout,
} from '../util/kms-arguments.ts'
import { meetsLevel } from '../util/security-level.ts'
import type { Border } from './abroad/border.ts'
import { issueAtBorder } from './abroad/issue-at-border.ts'
import type { DecisionLog } from './audit/decision-log.ts'
import type { SiteIncidents } from './incident/site-incidents.ts'
import { issueOrLower } from './issue-or-lower.ts'
import type { KeyReceipts } from './key-receipts.ts'
import type { Multicast } from './multicast.ts'
import type { Admission, Admitted } from './policy/admission.ts'
import type { KeyLabel } from './pool/issuer.ts'
import type { KeyPool, KeyPoolStatus } from './pool/key-pool.ts'
import type { RecentKeys } from './recent-keys.ts'
import { requireCapacity } from './require-capacity.ts'
import type { RegisteredSite, SaeRegistry } from './sae-registry.ts'
import type { StandingAlarms } from './standing-alarms.ts'

/** Keys of one request that a trace tells apart. */
const TRACED_KEYS = 16

type Auditor = (keys: readonly KeyLabel[]) => Promise<void>

/** What one host's face of a site's KMS is made from. */
export interface EmbeddedKmsOptions {
  readonly saeId: string
  readonly local: RegisteredSite
  readonly registry: SaeRegistry
  readonly poolFor: (siteId: string) => KeyPool | undefined
  readonly admission: Admission
  readonly multicast: Multicast
  /** This site's part of the border to other domains; undefined where it has none. */
  readonly border: Border | undefined
  /** Further slaves that one request may name. */
  readonly maxSaeIdCount: number
  /** The pool by which hosts of this site were given that key together; undefined where there is none. */
  readonly poolSharing: (keyId: string) => KeyPool | undefined
  /** Where decisions are written before they take effect; undefined for nowhere. */
  readonly audit: DecisionLog | undefined
  /** Keys that hosts of this site were given of late. */
  readonly recent: RecentKeys
  readonly receipts: KeyReceipts
  readonly incidents: Pick<SiteIncidents, 'requireFreeBorder'>
  readonly maxKeyPerRequest: number
  readonly capacityCells: number
  readonly maxWaitMs: number
  readonly telemetry: Telemetry
  /** Follows each request through its parts. */
  readonly tracer: Tracer
  /** Where a site says that it gives out keys of lowered levels. */
  readonly lowered: StandingAlarms
}

/** The KMS of this process as one of its registered hosts sees it. */
export class EmbeddedKms implements Kms {
  readonly saeId: string
  readonly #options: EmbeddedKmsOptions
  #closed = false

  constructor(options: EmbeddedKmsOptions) {
    this.saeId = options.saeId
    this.#options = options
  }

  async getStatus(slaveSaeId: string, options: KmsCallOptions = {}): Promise<KmsStatus> {
    this.#requireOpen(options)
    requireTimeout(options)
    requireOtherSae('slave_SAE_ID', this.saeId, slaveSaeId)
    const { registry, local, admission, capacityCells } = this.#options
    const remote = registry.requireSite('slave_SAE_ID', slaveSaeId)
    const limits = admission.limitsFor({ masterSaeId: this.saeId, slaveSaeId }, remote.siteId)
    const cellsPerKey = cellsFor(limits.keySizeBits / 8)
    const maxKeyCount = Math.floor(capacityCells / cellsPerKey)
    const pool = this.#options.poolFor(remote.siteId)?.status()
    const stock = pool?.issuableCells ?? 0
    // Keys from the border's own site are made when they are asked for.
    const isAbroad = this.#options.border?.neighbours.of(slaveSaeId) !== undefined
    const stored = isAbroad ? maxKeyCount : Math.floor(stock / cellsPerKey)
    return {
      sourceKmeId: local.kmeId,
      targetKmeId: remote.kmeId,
      masterSaeId: this.saeId,
      slaveSaeId,
      ...limits,
      // Blocks that the peer granted us may bring the stock above what the pool aims at.
      storedKeyCount: Math.min(stored, maxKeyCount),
      maxKeyCount,
      maxSaeIdCount: this.#options.maxSaeIdCount,
      ...(pool !== undefined && { outlook: outlookOf(pool) }),
    }
  }

  async getKey(slaveSaeId: string, given: GetKeyOptions = {}): Promise<Key[]> {
    return this.#refusing('getKey', slaveSaeId, async () => {
      const options = this.#withFloor(given)
      this.#requireOpen(options)
      checkGetKey(this.saeId, slaveSaeId, options)
      refuseUnserved(options, this.#options.maxSaeIdCount)
      const { border, registry, incidents } = this.#options
      incidents.requireFreeBorder([this.saeId, slaveSaeId, ...(options.additionalSlaveSaeIds ?? [])])
      if (border?.neighbours.of(slaveSaeId) !== undefined) return this.#getKeyAbroad(border, slaveSaeId, options)
      const needsWord = (options.additionalSlaveSaeIds ?? []).length > 0 || registry.isForeign(slaveSaeId)
      if (needsWord) return this.#getSharedKey(slaveSaeId, options)
      const { pool, waitMs, signal } = this.#route('slave_SAE_ID', slaveSaeId, options)
      const pair = { masterSaeId: this.saeId, slaveSaeId }
      const { admission, tracer } = this.#options
      const peerSiteId = pool.remoteSiteId
      const admitted = tracer.span('policy', {}, () => admission.admit({ ...options, pair, peerSiteId }), ofPolicy)
      const auditFor = (loweredFrom: SecurityLevel | undefined) =>
        this.#auditor('issue', pair, pool, {
          rule: admitted.ruleName,
          ...(options.integration && { integration: options.integration }),
          ...(loweredFrom && { loweredFrom }),
        })
      const keys = await this.#issue(pool, pair, admitted, { waitMs, signal, auditFor })
      this.#tell('key-issued', pair, pool.remoteSiteId, keys)
      return keys
    })
  }

  async getKeyWithIds(
    masterSaeId: string,
    keyIds: readonly string[],
    given: GetKeyWithIdsOptions = {},
  ): Promise<Key[]> {
    return this.#refusing('getKeyWithIds', masterSaeId, async () => {
      const options = this.#withFloor(given)
      this.#requireOpen(options)
      checkGetKeyWithIds(masterSaeId, keyIds, options)
      requireInteger('number of key_IDs', keyIds.length, { min: 1, max: this.#options.maxKeyPerRequest })
      this.#options.incidents.requireFreeBorder([masterSaeId, this.saeId])
      const { pool, waitMs, signal } = this.#neighbourRoute(masterSaeId, keyIds, options) ?? {
        ...this.#route('master_SAE_ID', masterSaeId, options),
      }
      const pair = { masterSaeId, slaveSaeId: this.saeId }
      const masterSite = { remoteSiteId: this.#options.registry.requireSite('master_SAE_ID', masterSaeId).siteId }
      const { admission, tracer } = this.#options
      const policy = tracer.span('policy', {}, () => admission.admitRetrieval(pair, masterSite.remoteSiteId), ofPolicy)
      const check: typeof policy.check = (level, trustClass) => {
        policy.check(level, trustClass)
        requireMinLevel(level, options.minLevel)
      }
      const audit: Auditor = async labels =>
        this.#auditor('deliver', pair, masterSite, { rule: policy.ruleName })(labels)
      const terms = { lifetimeMs: policy.lifetimeMs, check, audit }
      const keys = await tracer.span('pool', ofPool(pool), () => pool.retrieve(pair, keyIds, { waitMs, signal, terms }))
      this.#tell('key-retrieved', pair, masterSite.remoteSiteId, keys)
      return keys
    })
  }

  async reportKeys(peerSaeId: string, receipts: readonly KeyReceipt[], options: KmsCallOptions = {}): Promise<void> {
    this.#requireOpen(options)
    requireTimeout(options)
    checkReceipts(this.saeId, peerSaeId, receipts)
    await this.#options.receipts.take(this.saeId, peerSaeId, receipts)
  }

  async close(): Promise<void> {
    this.#closed = true
  }

  async #getSharedKey(slaveSaeId: string, options: GetKeyOptions): Promise<Key[]> {
    const { multicast, maxWaitMs } = this.#options
    const { pool } = this.#route('slave_SAE_ID', slaveSaeId, options)
    const confirmMs = requireTimeout(options)
    const waitMs = Math.min(confirmMs, maxWaitMs)
    const keys = await multicast.issue({ masterSaeId: this.saeId, slaveSaeId, options, waitMs, confirmMs })
    this.#tell('key-issued', { masterSaeId: this.saeId, slaveSaeId }, pool.remoteSiteId, keys)
    return keys
  }

  async #getKeyAbroad(border: Border, slaveSaeId: string, options: GetKeyOptions): Promise<Key[]> {
    const { admission, audit } = this.#options
    if ((options.additionalSlaveSaeIds ?? []).length > 0) {
      throw new InvalidArgumentError('Keys that cross the border from its own site have one slave')
    }
    const pair = { masterSaeId: this.saeId, slaveSaeId }
    const request = { ...pair, options, confirmMs: requireTimeout(options) }
    const keys = await issueAtBorder({ border, admission, audit }, request)
    this.#tell('key-issued', pair, border.neighbours.of(slaveSaeId)!.kme.kmeId, keys)
    return keys
  }

  /** Where a key lies that a host of this same site, or of another domain, was given together with this one. */
  #neighbourRoute(masterSaeId: string, keyIds: readonly string[], options: KmsCallOptions) {
    const { registry, local, border, poolSharing, maxWaitMs } = this.#options
    const isAbroad = border?.neighbours.of(masterSaeId) !== undefined
    if (registry.siteOf(masterSaeId) !== local && !isAbroad) return undefined
    const pool = poolSharing(canonicalKeyId(keyIds[0]!) ?? '')
    return pool && { pool, waitMs: Math.min(requireTimeout(options), maxWaitMs), signal: options.signal }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #issue(
    pool: KeyPool,
    pair: SaePair,
    admitted: Admitted,
    {
      waitMs,
      signal,
      auditFor,
    }: {
      waitMs: number
      signal: AbortSignal | undefined
      auditFor: (loweredFrom: SecurityLevel | undefined) => Auditor | undefined
    },
  ): Promise<Key[]> {
    const isOfNetwork = kindForSuite(admitted.suite) === 'network'
    try {
      if (isOfNetwork) requireCapacity(this.#options.capacityCells, admitted)
      const order = {
        pair,
        admitted,
        waitMs,
        signal,
        auditFor,
        // Each side issues from its own half of the pool. Nothing is held back of what the sites make themselves.
        reservedCells: isOfNetwork ? Math.floor((admitted.reservedShare * this.#options.capacityCells) / 2) : 0,
        onServed: (from: SecurityLevel, to: SecurityLevel) =>
          this.#tellServed(pair, pool.remoteSiteId, { from, to, keys: admitted.number }),
      }
      const keys = await this.#options.tracer.span('pool', ofPool(pool), () => issueOrLower(pool, order))
      admitted.issued()
      return keys
    } catch (error) {
      admitted.refused()
      throw error
    }
  }

  /** The pool towards another SAE's site, and how long this call may wait there. */
  #route(
    parameter: string,
    saeId: string,
    options: KmsCallOptions,
  ): { pool: KeyPool; waitMs: number; signal: AbortSignal | undefined } {
    const timeoutMs = requireTimeout(options)
    const site = this.#options.registry.requireSite(parameter, saeId)
    const pool = this.#options.poolFor(site.siteId)
    if (pool === undefined) {
      // A key between two hosts of one site never came from a link: there is none to give or to find.
      if (parameter === 'master_SAE_ID') throw new KeyNotFoundError()
      throw new InvalidArgumentError(
        `${parameter} ${saeId} is a host of this same site: no QKD link is between the two`,
      )
    }
    return { pool, waitMs: Math.min(timeoutMs, this.#options.maxWaitMs), signal: options.signal }
  }

  async #refusing(operation: 'getKey' | 'getKeyWithIds', peerSaeId: string, run: () => Promise<Key[]>): Promise<Key[]> {
    const hosts = { 'qkd.sae': this.saeId, 'qkd.peer_sae': peerSaeId }
    try {
      return await this.#options.tracer.span(operation, hosts, run, ofKeys)
    } catch (error) {
      const code = error instanceof QkdError ? error.code : 'ABORTED'
      const reason = (error as Error).message
      this.#options.telemetry.emit({ type: 'key-refused', operation, saeId: this.saeId, peerSaeId, code, reason })
      this.#options.audit?.refused({ operation, saeId: this.saeId, peerSaeId, code, reason })
      throw error
    }
  }

  /** Which level a request got that allows to be lowered: each change of what a peer's hosts get is an alarm, or its end. */
  #tellServed(
    pair: SaePair,
    peerSiteId: string,
    { from, to, keys }: { from: SecurityLevel; to: SecurityLevel; keys: number },
  ): void {
    const { lowered, telemetry } = this.#options
    const name = `keys-lowered:${peerSiteId}`
    if (from === to) {
      lowered.clear(name, `Keys for ${peerSiteId} are of the level asked for again`)
      return
    }
    telemetry.emit({ type: 'keys-lowered', peerSiteId, ...pair, from, to, keys })
    const text = `The pool for ${peerSiteId} is dry: keys asked for as ${from} are given as ${to}, as the policy says`
    lowered.raise(name, { severity: 'major', text })
  }

  #tell(
    type: 'key-issued' | 'key-retrieved',
    pair: { masterSaeId: string; slaveSaeId: string },
    peerSiteId: string,
    keys: readonly Key[],
  ): void {
    const { masterSaeId, slaveSaeId } = pair
    for (const { keyId, sizeBits, level, trustClass } of keys) {
      const event = {
        type,
        masterSaeId,
        slaveSaeId,
        peerSiteId,
        keyId,
        sizeBits,
        level: level!,
        trustClass: trustClass!,
      } as TelemetryEvent
      this.#options.telemetry.emit(event)
    }
  }

  #auditor(
    event: 'issue' | 'deliver',
    pair: SaePair,
    { remoteSiteId: peerSiteId }: Pick<KeyPool, 'remoteSiteId'>,
    said: { rule: string; integration?: string; loweredFrom?: SecurityLevel },
  ): Auditor {
    const { audit, recent } = this.#options
    const { masterSaeId, slaveSaeId } = pair
    const { saeId } = this
    return async keys => {
      await audit?.allowed({ event, masterSaeId, slaveSaeId, peerSiteId, ...said }, keys)
      const common = { saeId, masterSaeId, slaveSaeId, issued: event === 'issue', peerSiteId, atMs: Date.now() }
      for (const { keyId, block } of keys) recent.add(keyId, { ...common, block })
    }
  }

  /** The lowest level that will do is what the host is registered with, where the request names none. */
  #withFloor<T extends { minLevel?: SecurityLevel }>(options: T): T {
    const minLevel = options.minLevel ?? this.#options.local.minLevels?.get(this.saeId)
    return minLevel === undefined ? options : { ...options, minLevel }
  }

  #requireOpen({ signal }: KmsCallOptions): void {
    if (this.#closed) throw new ClosedError('This Kms is closed')
    signal?.throwIfAborted()
  }
}

/** What a trace says of keys: how many, of which level, and by what an issue and a retrieval of one can be joined. */
function ofKeys(keys: readonly Key[]): TraceAttributes {
  const [first] = keys
  return {
    'qkd.keys': keys.length,
    'qkd.key_id_hashes': keys.slice(0, TRACED_KEYS).map(({ keyId }) => hash('sha256', keyId).slice(0, 16)),
    ...(first?.level && { 'qkd.level': first.level }),
    ...(first && { 'qkd.size_bits': first.sizeBits }),
  }
}

function ofPolicy({ ruleName }: { readonly ruleName: string }): TraceAttributes {
  return { 'qkd.rule': ruleName }
}

function ofPool({ remoteSiteId }: Pick<KeyPool, 'remoteSiteId'>): TraceAttributes {
  return { 'qkd.peer_site': remoteSiteId }
}

/** The caller's own floor, before anything is consumed. */
function requireMinLevel(level: SecurityLevel, minLevel: SecurityLevel | undefined): void {
  if (minLevel === undefined || meetsLevel(level, minLevel)) return
  throw new PolicyError(`A key is of level ${level}, which does not meet minLevel ${minLevel}`, {
    details: [{ level, min_level: minLevel }],
  })
}

/** What no policy could allow: more hosts than one key may have, and extensions beside those that became options. */
function refuseUnserved(options: GetKeyOptions, maxSaeIdCount: number): void {
  const { length } = options.additionalSlaveSaeIds ?? []
  if (length > maxSaeIdCount) {
    throw new InvalidArgumentError(
      `additional_slave_SAE_IDs has ${length} entries; max_SAE_ID_count is ${maxSaeIdCount}`,
      {
        details: [{ parameter_name: 'additionalSlaveSaeIds', allowed_values: `at most ${maxSaeIdCount}` }],
      },
    )
  }
  const unknown = (options.extensionMandatory ?? []).flatMap(entry => Object.keys(entry))
  if (unknown.length === 0) return
  throw new InvalidArgumentError('not all extension_mandatory parameters are supported', {
    details: unknown.map(name => ({ extension_mandatory_unsupported: `${name} is not supported` })),
  })
}

/** Longer than anybody plans for, and as large a number as clients take. */
const MAX_MS = 2 ** 31 - 1

/** What of a pool's demand its hosts may know. */
function outlookOf({ demand, losses }: Pick<KeyPoolStatus, 'demand' | 'losses'>): PoolOutlook {
  const { trend, degraded, exhaustionMs } = demand
  const known = exhaustionMs === undefined ? {} : { exhaustionMs: Math.min(exhaustionMs, MAX_MS) }
  return { trend, degraded, ...known, ...(losses !== undefined && { lostCells: losses.cells }) }
}
