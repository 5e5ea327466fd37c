import { InvalidArgumentError } from '../errors.ts'
import { type Neighbours, requireAbroadLabel } from './abroad/neighbour.ts'
import type { DecisionLog } from './audit/decision-log.ts'
import type { Admission } from './policy/admission.ts'
import type { ShareQuestion } from './pool/shared-key-acceptor.ts'
import type { RegisteredSite, SaeRegistry } from './sae-registry.ts'

/** What keys of several hosts are let in by. */
export interface ShareAdmissionOptions {
  readonly local: RegisteredSite
  readonly registry: SaeRegistry
  readonly admission: Admission
  readonly audit: DecisionLog | undefined
  /** Other domains behind this site's border; undefined where it has none. */
  readonly neighbours: Neighbours | undefined
}

/**
 * This site's own word on keys that another site's KMS wants held for hosts here: that it may speak for the master, that the
 * hosts are of this site, and that the policy lets each of them have such a key. What it lets in is in the audit log before.
 */
export class ShareAdmission {
  readonly #options: ShareAdmissionOptions

  constructor(options: ShareAdmissionOptions) {
    this.#options = options
  }

  /**
   * @throws {InvalidArgumentError} the master is not of the peer's site, or a host neither of this one nor behind its border
   * @throws {PolicyError} a rule of this site takes no such keys for one of them
   * @throws {StoreError} the audit log can't be written
   */
  async admit(peerSiteId: string, question: ShareQuestion): Promise<void> {
    const { local, registry, admission, audit, neighbours } = this.#options
    const { masterSaeId, slaveSaeId, saeIds, keyIds, level, trustClass, sizeBytes } = question
    if (registry.siteOf(masterSaeId)?.siteId !== peerSiteId)
      throw new InvalidArgumentError(`${masterSaeId} is not known here as a host of ${peerSiteId}`)
    const isAbroad = saeIds.some(saeId => neighbours?.of(saeId) !== undefined)
    if (isAbroad) requireAbroadLabel(neighbours!.ofAll(saeIds), { level, trustClass })
    let rule: string | undefined
    for (const saeId of saeIds) {
      if (registry.siteOf(saeId) !== local && neighbours?.of(saeId) === undefined) {
        throw new InvalidArgumentError(`${saeId} is no host of ${local.kmeId}`)
      }
      const terms = admission.admitRetrieval({ masterSaeId, slaveSaeId: saeId }, peerSiteId)
      terms.check(level, trustClass)
      rule ??= terms.ruleName
    }
    const keys = keyIds.map(keyId => ({ keyId, sizeBits: sizeBytes * 8, level, trustClass }))
    const who = { masterSaeId, slaveSaeId, additionalSlaveSaeIds: saeIds, peerSiteId }
    await audit?.allowed({ event: 'share', ...who, ...(rule !== undefined && { rule }) }, keys)
  }
}
