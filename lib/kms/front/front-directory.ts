import { ClosedError, InvalidArgumentError, UnauthorizedError } from '../../errors.ts'
import type { AuditLog } from '../../interface/audit.ts'
import type { Kms, KmsDirectory } from '../../interface/kms.ts'
import type { Closable } from '../../interface/lifecycle.ts'
import type { Logger } from '../../interface/logger.ts'
import type { PolicyFile } from '../../interface/policy.ts'
import type { Telemetry } from '../../interface/telemetry.ts'
import { debugLogger } from '../../util/debug-logger.ts'
import { DecisionLog } from '../audit/decision-log.ts'
import { Admission, type KeyLimits, SHIPPED_POLICY } from '../policy/admission.ts'
import { type RegisteredSite, SaeRegistry } from '../sae-registry.ts'
import { FrontKms, type FrontRoute } from './front-kms.ts'

/** A far site, and what the keys that a KMS gives towards it are held to be. */
export interface FrontPeer extends RegisteredSite, Pick<FrontRoute, 'level' | 'trustClass'> {
  /** The KMS towards this site as a host of ours sees it. Called once for each host, and owned here. */
  readonly open: (saeId: string) => Kms
}

/** What a front is made from. */
export interface FrontDirectoryOptions {
  readonly local: RegisteredSite
  readonly peers: readonly FrontPeer[]
  readonly keys: KeyLimits
  /** Who may have which keys. Default what `keys` allows, to every host. */
  readonly policy?: PolicyFile
  /** Where decisions are written before keys are handed out; stays the caller's. Default nowhere. */
  readonly audit?: AuditLog
  readonly telemetry: Telemetry
  readonly logger?: Logger
  readonly now?: () => number
  readonly monotonicMs?: () => number
}

/** How long an unfetched key counts against its pair, in milliseconds: no KMS of another make says how long it keeps one. */
const KEY_LIFE_MS = 300_000

/** A site whose keys come from the KMSs of others, one for each far site: policy and audit are ours. */
export class FrontDirectory implements KmsDirectory, Closable {
  readonly #options: FrontDirectoryOptions
  readonly #registry: SaeRegistry
  readonly #admission: Admission
  readonly #audit: DecisionLog | undefined
  /** By site ID and SAE ID. */
  readonly #routes = new Map<string, FrontRoute>()
  #closing: Promise<void> | undefined

  constructor(options: FrontDirectoryOptions) {
    const { policy = SHIPPED_POLICY, keys: limits, logger = debugLogger('front') } = options
    const { now = Date.now, monotonicMs = () => performance.now() } = options
    this.#options = options
    this.#registry = new SaeRegistry([options.local, ...options.peers])
    this.#admission = new Admission({ policy, limits, keyLifeMs: KEY_LIFE_MS, now, monotonicMs })
    this.#audit = options.audit && new DecisionLog({ log: options.audit, logger, monotonicMs })
  }

  kmsFor(saeId: string): Kms {
    const { local, telemetry } = this.#options
    if (this.#closing !== undefined) throw new ClosedError('The front is closed')
    if (this.#registry.siteOf(saeId) !== local) {
      throw new UnauthorizedError(`SAE ${saeId} is not registered at ${local.kmeId}`)
    }
    return new FrontKms({
      saeId,
      kmeId: local.kmeId,
      routeTo: (parameter, peerSaeId) => this.#routeTo(saeId, parameter, peerSaeId),
      admission: this.#admission,
      audit: this.#audit,
      telemetry,
    })
  }

  /** Decides by another policy from now on; no request is dropped for it. */
  setPolicy(policy: PolicyFile): void {
    this.#admission.setPolicy(policy)
    this.#audit?.policyInForce(policy.rules.length)
  }

  close(): Promise<void> {
    this.#closing ??= Promise.all([...this.#routes.values()].map(({ kms }) => kms.close())).then(() => {})
    return this.#closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  #routeTo(saeId: string, parameter: string, peerSaeId: string): FrontRoute {
    if (this.#closing !== undefined) throw new ClosedError('The front is closed')
    const { siteId } = this.#registry.requireSite(parameter, peerSaeId)
    const peer = this.#options.peers.find(other => other.siteId === siteId)
    if (peer === undefined) {
      throw new InvalidArgumentError(`${parameter} ${peerSaeId} is a host of this same site: no KMS serves the two`)
    }
    const name = JSON.stringify([siteId, saeId])
    const known = this.#routes.get(name)
    if (known !== undefined) return known
    const route = { siteId, kms: peer.open(saeId), level: peer.level, trustClass: peer.trustClass }
    this.#routes.set(name, route)
    return route
  }
}
