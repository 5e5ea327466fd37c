import { InvalidArgumentError, NoRouteError } from '../../errors.ts'
import type { AbroadHandover, AbroadKeyIds, AbroadReceiver } from '../../interface/abroad.ts'
import type { AbortOptions } from '../../interface/lifecycle.ts'
import { canonicalKeyId } from '../../key/key-id.ts'
import { sealTransfer, transferPadBytes } from '../../key/transfer.ts'
import type { DecisionLog } from '../audit/decision-log.ts'
import type { Admission } from '../policy/admission.ts'
import type { StoredWay } from '../pool/block-way.ts'
import type { KeyLabel } from '../pool/issuer.ts'
import type { KeyPool } from '../pool/key-pool.ts'
import { PAD_PAIR, transferHeader } from '../pool/shared-key-acceptor.ts'
import { lowestLabel, type WayLabel } from '../pool/way-label.ts'
import type { RegisteredSite, SaeRegistry } from '../sae-registry.ts'
import { abroadLabel, type Neighbours } from './neighbour.ts'

/** Pads are raw cells of the pool, as many as there are bytes to hide. */
const PAD_SUITE = 1
const PAD_WAIT_MS = 2_000
/** Voided keys that are remembered: a handover that comes after its own void is refused. */
const MAX_VOIDED = 4_096

/** What keys from another domain are taken in with. */
export interface InboundOptions {
  readonly local: RegisteredSite
  readonly registry: SaeRegistry
  readonly neighbours: Neighbours
  readonly poolFor: (siteId: string) => KeyPool | undefined
  /** Where keys for hosts of this very site are kept; undefined where the site has no pool. */
  readonly anyPool: () => KeyPool | undefined
  readonly admission: Admission
  readonly audit: DecisionLog | undefined
}

/** One site of this domain, and the hosts there that get the keys. */
interface Leg {
  /** Undefined for this site itself. */
  readonly pool: KeyPool | undefined
  readonly saeIds: string[]
}

/**
 * Keys that come across the border, for hosts of this domain: hidden under fresh cells of the pool with each host's site, or
 * kept here for hosts of this one. They have arrived when every site holds them durably.
 */
export class Inbound implements AbroadReceiver {
  readonly #options: InboundOptions
  /** Under way, by key_ID. */
  readonly #taking = new Map<string, Promise<void>>()
  /** With their initiators: no domain voids the keys of another. */
  readonly #voided = new Set<string>()

  constructor(options: InboundOptions) {
    this.#options = options
  }

  async take(handover: AbroadHandover, options: Required<AbortOptions>): Promise<void> {
    const keyIds = handover.keys.map(({ keyId }) => keyId)
    if (keyIds.some(keyId => this.#voided.has(nameOf(handover, keyId))))
      throw new InvalidArgumentError('A key was voided before it came')
    const taking = this.#take(handover, options)
    for (const keyId of keyIds) this.#taking.set(keyId, taking)
    try {
      await taking
    } finally {
      for (const keyId of keyIds) if (this.#taking.get(keyId) === taking) this.#taking.delete(keyId)
    }
  }

  async #take(handover: AbroadHandover, { signal }: Required<AbortOptions>): Promise<void> {
    const { initiatorSaeId, targetSaeIds, keys } = handover
    for (const { keyId } of keys) {
      if (canonicalKeyId(keyId) !== keyId)
        throw new InvalidArgumentError('A key_id is no UUID of version 4 in lower case')
    }
    const sizeBytes = keys[0]!.secret.sizeBytes
    if (keys.some(({ secret }) => secret.sizeBytes !== sizeBytes)) {
      throw new InvalidArgumentError('The keys of one handover must have one size')
    }
    const label = this.#labelOf(initiatorSaeId)
    const legs = this.#legsOf(targetSaeIds)
    await this.#admit(handover, label, sizeBytes)
    const given = legs.map(leg => this.#give(leg, handover, { label, sizeBytes, signal }))
    const failed = (await Promise.allSettled(given)).find(outcome => outcome.status === 'rejected')
    if (failed !== undefined) throw failed.reason
  }

  async erase({ initiatorSaeId, targetSaeIds, keyIds }: AbroadKeyIds): Promise<boolean> {
    for (const keyId of keyIds) this.#voided.add(nameOf({ initiatorSaeId }, keyId))
    for (const name of this.#voided) {
      if (this.#voided.size <= MAX_VOIDED) break
      this.#voided.delete(name)
    }
    // What is under way would arrive after the word that takes it back.
    await Promise.allSettled(keyIds.map(keyId => this.#taking.get(keyId)))
    let told = true
    for (const { pool, saeIds } of this.#legsOf(targetSaeIds)) {
      if (pool === undefined) await this.#options.anyPool()?.shared.forget(keyIds, initiatorSaeId)
      else if (pool.connected) pool.handovers.withdraw({ masterSaeId: initiatorSaeId, slaveSaeId: saeIds[0]!, keyIds })
      else told = false
    }
    return told
  }

  #labelOf(initiatorSaeId: string): WayLabel {
    const domain = this.#options.neighbours.of(initiatorSaeId)
    if (domain !== undefined) return abroadLabel(domain)
    throw new InvalidArgumentError(`${initiatorSaeId} is no host of another domain`)
  }

  #legsOf(saeIds: readonly string[]): Leg[] {
    const { local, registry, poolFor } = this.#options
    const bySite = new Map<string, Leg>()
    for (const saeId of saeIds) {
      const site = registry.siteOf(saeId)
      const pool = site && poolFor(site.siteId)
      if (site === undefined || (site !== local && pool === undefined)) {
        throw new InvalidArgumentError(`${saeId.slice(0, 64)} is no host of this domain`)
      }
      const leg = bySite.get(site.siteId)
      if (leg === undefined) bySite.set(site.siteId, { pool, saeIds: [saeId] })
      else leg.saeIds.push(saeId)
    }
    return [...bySite.values()]
  }

  async #admit({ initiatorSaeId, targetSaeIds, keys }: AbroadHandover, label: WayLabel, sizeBytes: number) {
    const { admission, audit, neighbours } = this.#options
    const peerSiteId = neighbours.of(initiatorSaeId)!.kme.kmeId
    let rule: string | undefined
    for (const slaveSaeId of targetSaeIds) {
      const terms = admission.admitRetrieval({ masterSaeId: initiatorSaeId, slaveSaeId }, peerSiteId)
      terms.check(label.level, label.trustClass)
      rule ??= terms.ruleName
    }
    const who = {
      masterSaeId: initiatorSaeId,
      slaveSaeId: targetSaeIds[0]!,
      additionalSlaveSaeIds: targetSaeIds,
      peerSiteId,
    }
    const labels = keys.map(({ keyId }) => ({ keyId, sizeBits: sizeBytes * 8, ...label }))
    await audit?.allowed({ event: 'share', ...who, ...(rule !== undefined && { rule }) }, labels)
  }

  /**
   * The other domain's KME has seen the key, and what came before it is not known here; to hosts of further sites this one is
   * a relay, under either of its names.
   */
  #wayAcross(initiatorSaeId: string, toSiteId?: string): StoredWay {
    const { neighbours, local } = this.#options
    const nowMs = Date.now()
    const here = toSiteId === undefined ? [local.siteId] : [local.kmeId, local.siteId, toSiteId]
    const path = [initiatorSaeId, neighbours.of(initiatorSaeId)!.kme.kmeId, ...here]
    return { shares: [[path]], links: [], sinceMs: nowMs, untilMs: nowMs }
  }

  async #give(
    { pool, saeIds }: Leg,
    { initiatorSaeId: masterSaeId, keys }: AbroadHandover,
    { label, sizeBytes, signal }: { label: WayLabel; sizeBytes: number; signal: AbortSignal },
  ): Promise<void> {
    const common = { masterSaeId, slaveSaeId: saeIds[0]!, saeIds, sizeBytes }
    if (pool === undefined) {
      const keeper = this.#options.anyPool()
      if (keeper === undefined) throw new NoRouteError('This site has no pool beside which keys could be kept')
      return keeper.shared.record(keys, { ...common, ...label, ways: [this.#wayAcross(masterSaeId)] })
    }
    pool.handovers.requirePeer()
    const sizes = { number: keys.length, sizeBytes: transferPadBytes(sizeBytes) }
    const came = [this.#wayAcross(masterSaeId, pool.remoteSiteId)]
    const audit = async (labels: readonly KeyLabel[]) => {
      for (const { block } of labels) if (block !== undefined) came.push(pool.incidents.wayOf(block) ?? came[0]!)
    }
    const pads = await pool.issue({ pair: PAD_PAIR, suite: PAD_SUITE, ...sizes, waitMs: PAD_WAIT_MS, signal, audit })
    try {
      const ways = pads.map(({ level, trustClass }) => ({ level: level!, trustClass: trustClass! }))
      const keyIds = keys.map(({ keyId }) => keyId)
      const question = { ...common, keyIds, ...lowestLabel([label, ...ways]) }
      const sealed = keys.map(({ keyId, secret }, at) => {
        const { keyId: padId, secret: pad } = pads[at]!
        return sealTransfer(secret, pad, transferHeader(pool.poolId, question, { keyId, padId }))
      })
      await pool.handovers.give({ ...question, padIds: pads.map(({ keyId }) => keyId), sealed, ways: came }, { signal })
    } finally {
      for (const { secret } of pads) secret.wipe()
    }
  }
}

function nameOf({ initiatorSaeId }: Pick<AbroadKeyIds, 'initiatorSaeId'>, keyId: string): string {
  return JSON.stringify([initiatorSaeId, keyId])
}
