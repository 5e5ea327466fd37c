import { InvalidArgumentError, PolicyError } from '../errors.ts'
import type { GetKeyOptions, Key } from '../interface/kms.ts'
import { maxKeyBytes } from '../key/construct.ts'
import { levelOf, type Suite } from '../key/selection.ts'
import { sealTransfer, transferPadBytes } from '../key/transfer.ts'
import { kindForSuite } from '../key/virtual-block.ts'
import { withDeadline } from '../util/deadline.ts'
import type { DecisionLog } from './audit/decision-log.ts'
import type { Admission, Admitted } from './policy/admission.ts'
import type { StoredWay } from './pool/block-way.ts'
import type { IssueRequest, KeyLabel } from './pool/issuer.ts'
import type { KeyPool } from './pool/key-pool.ts'
import { PAD_PAIR, type ShareQuestion, transferHeader } from './pool/shared-key-acceptor.ts'
import { lowestLabel, type WayLabel } from './pool/way-label.ts'
import { requireCapacity } from './require-capacity.ts'
import type { RegisteredSite, SaeRegistry } from './sae-registry.ts'

/** What multicast is made with. */
export interface MulticastOptions {
  readonly local: RegisteredSite
  readonly registry: SaeRegistry
  readonly poolFor: (siteId: string) => KeyPool | undefined
  readonly admission: Admission
  readonly audit: DecisionLog | undefined
  readonly capacityCells: number
}

/** A request for keys of several hosts, its arguments checked. */
export interface MulticastRequest {
  readonly masterSaeId: string
  readonly slaveSaeId: string
  readonly options: GetKeyOptions
  /** How long it may wait for key, in milliseconds. */
  readonly waitMs: number
  /** How long the other sites may take to confirm, in milliseconds. */
  readonly confirmMs: number
}

/** One of the sites that get the keys, and the hosts there. */
interface Leg {
  readonly pool: KeyPool
  readonly saeIds: string[]
}

/** What the policy decided for one of the hosts. */
interface Entry {
  readonly saeId: string
  readonly admitted: Admitted
}

/**
 * Keys for several hosts (ETSI's additional_slave_SAE_IDs). At the first slave's site the others get a record that lets them take
 * the same cells; to a third site the keys go hidden under fresh cells of that pair's pool; at this one they are kept beside
 * their record. The master gets them when every site has confirmed; until then nobody has heard of their key_IDs.
 */
export class Multicast {
  readonly #options: MulticastOptions

  constructor(options: MulticastOptions) {
    this.#options = options
  }

  /**
   * @throws {InvalidArgumentError} a slave is unknown
   * @throws {PolicyError} the policy refuses one of the slaves; nothing was consumed
   * @throws {PoolExhaustedError} one of the pools has not enough; nothing was consumed
   * @throws {PoolDesyncError} a site can't be reached, or did not confirm: what was taken for the request is burned
   */
  async issue(request: MulticastRequest): Promise<Key[]> {
    const { legs, own } = this.#route(request)
    for (const { pool } of legs) pool.handovers.requirePeer()
    const entries = this.#admit(request, legs, own)
    const refund = () => {
      for (const { admitted } of entries) admitted.refused()
    }
    let label: WayLabel | undefined
    const named: KeyLabel[][] = []
    const settle = async (labels: readonly KeyLabel[], keyLabels: readonly KeyLabel[]) => {
      label = this.#labelOf(labels, entries)
      const keys = keyLabels.map(one => ({ ...one, ...label }))
      await this.#audit(request, { entries, legs, named, keys })
    }
    const [keys, ...pads] = await this.#takeAll(request, { legs, entries, settle, named }).catch(error => {
      refund()
      throw error
    })
    try {
      await this.#handOver(request, { legs, own, keys: keys!, pads, label: label!, named })
    } catch (error) {
      for (const { secret } of keys!) secret.wipe()
      for (const { admitted } of entries) admitted.burned()
      throw error
    } finally {
      for (const { secret } of pads.flat()) secret.wipe()
    }
    for (const { admitted } of entries) admitted.issued()
    return keys!.map(key => ({ ...key, ...label! }))
  }

  /** Which site is whose: the slave's first, then the others; `own` are hosts of this one. */
  #route({ slaveSaeId, options }: MulticastRequest): { legs: Leg[]; own: string[] } {
    const { registry, poolFor, local } = this.#options
    const bySite = new Map<string, Leg>()
    const own: string[] = []
    for (const saeId of [slaveSaeId, ...(options.additionalSlaveSaeIds ?? [])]) {
      const parameter = saeId === slaveSaeId ? 'slave_SAE_ID' : 'additional_slave_SAE_IDs'
      const { siteId } = registry.requireSite(parameter, saeId)
      const pool = poolFor(siteId)
      const leg = bySite.get(siteId)
      if (leg !== undefined) leg.saeIds.push(saeId)
      else if (pool !== undefined) bySite.set(siteId, { pool, saeIds: [saeId] })
      else if (siteId === local.siteId && saeId !== slaveSaeId) own.push(saeId)
      else throw new InvalidArgumentError(`${parameter} ${saeId} is a host of a site that no pool leads to`)
    }
    return { legs: [...bySite.values()], own }
  }

  /** Every host has to be allowed what the first is given; who burns cells is charged for them. */
  #admit(
    { masterSaeId, slaveSaeId, options }: MulticastRequest,
    legs: readonly Leg[],
    own: readonly string[],
  ): Entry[] {
    const { admission, local } = this.#options
    const entries: Entry[] = []
    const admit = (saeId: string, peerSiteId: string, terms: Partial<Parameters<Admission['admit']>[0]>) => {
      const { number, integration, minLevel } = options
      const pair = { masterSaeId, slaveSaeId: saeId }
      entries.push({ saeId, admitted: admission.admit({ pair, peerSiteId, number, integration, minLevel, ...terms }) })
    }
    try {
      admit(slaveSaeId, legs[0]!.pool.remoteSiteId, { level: options.level, sizeBits: options.sizeBits })
      const { suite, sizeBytes } = entries[0]!.admitted
      const same = { level: levelOf(suite), sizeBits: sizeBytes * 8 }
      for (const [at, { pool, saeIds }] of legs.entries()) {
        for (const saeId of saeIds) {
          if (saeId === slaveSaeId) continue
          const isFirstOfFar = at > 0 && saeId === saeIds[0]
          admit(saeId, pool.remoteSiteId, { ...same, burnsBytes: isFirstOfFar ? transferPadBytes(sizeBytes) : 0 })
        }
      }
      for (const saeId of own) admit(saeId, local.siteId, { ...same, burnsBytes: 0 })
      if (legs.length > 1) requirePad(suite, sizeBytes)
      this.#requireCapacity(entries[0]!.admitted, legs)
      return entries
    } catch (error) {
      for (const { admitted } of entries) admitted.refused()
      throw error
    }
  }

  #requireCapacity({ suite, number, sizeBytes }: Admitted, legs: readonly Leg[]): void {
    if (kindForSuite(suite) !== 'network') return
    const { capacityCells } = this.#options
    requireCapacity(capacityCells, { number, sizeBytes: legs.length > 1 ? transferPadBytes(sizeBytes) : sizeBytes })
  }

  /**
   * The keys from the first pool and the pads from each of the others, or nothing: each pool names what it would give while the
   * others are still free to have none, and `settle` has the last word before the first byte leaves.
   */
  async #takeAll(
    request: MulticastRequest,
    {
      legs,
      entries,
      settle,
      named,
    }: {
      legs: readonly Leg[]
      entries: readonly Entry[]
      /** Filled with what each pool gives. */
      named: KeyLabel[][]
      settle: (labels: readonly KeyLabel[], keyLabels: readonly KeyLabel[]) => Promise<void>
    },
  ): Promise<Key[][]> {
    const sinceMs = performance.now()
    const takeFrom = async (at: number): Promise<Key[][]> => {
      const leg = legs[at]
      if (leg === undefined) {
        await settle(named.flat(), named[0]!)
        return []
      }
      const waitMs = Math.max(0, request.waitMs - (performance.now() - sinceMs))
      const { admitted } = entries.find(({ saeId }) => saeId === leg.saeIds[0])!
      let others: Key[][] = []
      const audit = async (labels: readonly KeyLabel[]) => {
        named.push([...labels])
        others = await takeFrom(at + 1)
      }
      try {
        const keys = await leg.pool.issue({ ...this.#wish(request, admitted, at), waitMs, audit })
        return [keys, ...others]
      } catch (error) {
        for (const { secret } of others.flat()) secret.wipe()
        throw error
      }
    }
    return takeFrom(0)
  }

  #wish(
    { masterSaeId, slaveSaeId, options }: MulticastRequest,
    admitted: Admitted,
    at: number,
  ): Omit<IssueRequest, 'waitMs' | 'audit'> {
    const { number, suite, sizeBytes, priority, trustClasses } = admitted
    const reservedCells = Math.floor((admitted.reservedShare * this.#options.capacityCells) / 2)
    const saeIds = takersOf({ masterSaeId, slaveSaeId, options })
    const signal = options.signal && { signal: options.signal }
    const common = { number, priority, trustClasses, reservedCells, saeIds, ...signal }
    if (at === 0) return { ...common, pair: { masterSaeId, slaveSaeId }, suite, sizeBytes }
    return { ...common, pair: PAD_PAIR, suite: padSuite(suite), sizeBytes: transferPadBytes(sizeBytes) }
  }

  /** The lowest of all ways, if every host may have it. */
  #labelOf(labels: readonly KeyLabel[], entries: readonly Entry[]): WayLabel {
    const ways = labels.map(({ level, trustClass }) => ({ level: level!, trustClass: trustClass! }))
    // Whatever lies behind the border of this domain, trusted nodes will see the key.
    const crosses = entries.some(({ saeId }) => this.#options.registry.isForeign(saeId))
    const lowest = lowestLabel(crosses ? [...ways, { level: ways[0]!.level, trustClass: 'relayed' }] : ways)
    if (ways.some(({ level }) => level === 'one-time-pad') && lowest.level !== 'one-time-pad')
      throw new PolicyError('Keys of level one-time-pad go to several sites only where each way has that level')
    for (const { saeId, admitted } of entries) {
      if (admitted.trustClasses?.includes(lowest.trustClass) === false)
        throw new PolicyError(`Rule "${admitted.ruleName}" takes no keys of class ${lowest.trustClass} for ${saeId}`)
    }
    return lowest
  }

  async #audit(
    { masterSaeId, slaveSaeId, options }: MulticastRequest,
    {
      entries,
      legs,
      named,
      keys,
    }: { entries: readonly Entry[]; legs: readonly Leg[]; named: KeyLabel[][]; keys: readonly KeyLabel[] },
  ): Promise<void> {
    const { integration, additionalSlaveSaeIds = [] } = options
    const [{ pool }, ...others] = legs as [Leg, ...Leg[]]
    const via = others.map((leg, at) => ({
      peerSiteId: leg.pool.remoteSiteId,
      blocks: [...new Set(named[at + 1]?.map(({ block }) => `${block}`))],
    }))
    const also = via.length > 0 && { via }
    const what = { masterSaeId, slaveSaeId, additionalSlaveSaeIds, peerSiteId: pool.remoteSiteId, ...also }
    const rule = entries[0]!.admitted.ruleName
    await this.#options.audit?.allowed({ event: 'issue', ...what, rule, ...(integration && { integration }) }, keys)
  }

  /** What goes to another domain its border sees, and what is behind that: for all who get the key. */
  #waysAcross(saeIds: readonly string[]): StoredWay[] {
    const { registry, local } = this.#options
    const nowMs = Date.now()
    const paths = saeIds.flatMap(saeId => {
      const border = registry.isForeign(saeId) ? registry.siteOf(saeId) : undefined
      return border === undefined ? [] : [[local.siteId, border.kmeId, border.siteId, saeId]]
    })
    return paths.length === 0 ? [] : [{ shares: [paths], links: [], sinceMs: nowMs, untilMs: nowMs }]
  }

  async #handOver(
    { masterSaeId, slaveSaeId, options, confirmMs }: MulticastRequest,
    {
      legs,
      own,
      keys,
      pads,
      label,
      named,
    }: { legs: readonly Leg[]; own: string[]; keys: Key[]; pads: Key[][]; label: WayLabel; named: KeyLabel[][] },
  ): Promise<void> {
    const keyIds = keys.map(({ keyId }) => keyId)
    const common = { masterSaeId, slaveSaeId, keyIds, sizeBytes: keys[0]!.secret.sizeBytes, ...label }
    const signal = withDeadline(options.signal, confirmMs)
    const { shared } = legs[0]!.pool
    const saeIds = takersOf({ masterSaeId, slaveSaeId, options })
    const ways = [...waysOf(legs, named), ...this.#waysAcross(saeIds)]
    const given = legs.map(({ pool, saeIds }, at) =>
      pool.handovers.give(
        { ...common, ways, saeIds, ...hide(pool, { ...common, saeIds }, keys, pads[at - 1]) },
        { signal },
      ),
    )
    if (own.length > 0) given.push(shared.record(keys, { ...common, ways, saeIds: own }))
    const outcomes = await Promise.allSettled(given)
    const failed = outcomes.find(({ status }) => status === 'rejected') ?? heldFault(legs, named, saeIds)
    if (failed?.status !== 'rejected') return
    for (const { pool } of legs) pool.handovers.withdraw(common)
    if (own.length > 0) await shared.forget(keyIds, masterSaeId)
    throw failed.reason
  }
}

/** The keys as they go to a site: by their cells alone, or hidden under its pads. */
function hide(
  { poolId }: KeyPool,
  question: ShareQuestion,
  keys: readonly Key[],
  pads: readonly Key[] | undefined,
): { padIds: string[]; sealed: Uint8Array[] } {
  if (pads === undefined) return { padIds: [], sealed: [] }
  const sealed = keys.map(({ keyId, secret }, at) => {
    const { keyId: padId, secret: pad } = pads[at]!
    return sealTransfer(secret, pad, transferHeader(poolId, question, { keyId, padId }))
  })
  return { padIds: pads.map(({ keyId }) => keyId), sealed }
}

/** A KDF gives no more than its hash: a pad of level `hybrid` is always made by XOR. */
function padSuite(suite: Suite): Suite {
  return suite === 4 ? 3 : suite
}

function requirePad(suite: Suite, sizeBytes: number): void {
  const max = maxKeyBytes(padSuite(suite)) - transferPadBytes(0)
  if (sizeBytes <= max) return
  throw new InvalidArgumentError(`A key of this level that goes to several sites has at most ${max * 8} bits`, {
    details: [{ parameter_name: 'size', parameter_value: sizeBytes * 8 }],
  })
}

/** All SAEs that get the keys. */
function takersOf({
  masterSaeId,
  slaveSaeId,
  options: { additionalSlaveSaeIds = [] },
}: Pick<MulticastRequest, 'masterSaeId' | 'slaveSaeId' | 'options'>): string[] {
  return [masterSaeId, slaveSaeId, ...additionalSlaveSaeIds]
}

/** How the keys, and what hides them from one site to the next, came. */
function waysOf(legs: readonly Leg[], named: readonly (readonly KeyLabel[])[]): StoredWay[] {
  return legs.flatMap(({ pool }, at) => {
    const blocks = new Set((named[at] ?? []).flatMap(({ block }) => (block === undefined ? [] : [block])))
    return [...blocks].flatMap(block => pool.incidents.wayOf(block) ?? [])
  })
}

/** What came to be held while the other sites confirmed goes to nobody. */
function heldFault(
  legs: readonly Leg[],
  named: readonly (readonly KeyLabel[])[],
  saeIds: readonly string[],
): PromiseRejectedResult | undefined {
  try {
    for (const [at, { pool }] of legs.entries())
      for (const { block } of named[at] ?? []) if (block !== undefined) pool.incidents.requireFree(block, { saeIds })
    return undefined
  } catch (reason) {
    return { status: 'rejected', reason }
  }
}
