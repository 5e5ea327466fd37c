import type { SecurityLevel, TrustClass } from './kms.ts'
import type { Closable } from './lifecycle.ts'
import type { OperatorIdentity } from './operator.ts'

/** What is written of one decision. Never a key byte; key_IDs name keys only to the two KMSs. */
export interface AuditEntry {
  readonly event: 'issue' | 'share' | 'deliver' | 'refuse' | 'policy' | 'start' | 'operator' | 'alarm' | 'rekey'
  /** What came of it: `allowed`, or the code of the refusal. */
  readonly outcome: string
  readonly masterSaeId?: string
  readonly slaveSaeId?: string
  /** Of keys for several hosts: the others, or (`share`) those of this site for which another site's KMS had them recorded. */
  readonly additionalSlaveSaeIds?: readonly string[]
  readonly peerSiteId?: string
  /** Name of the policy's rule that decided. */
  readonly rule?: string
  readonly keyIds?: readonly string[]
  readonly sizeBits?: number
  readonly level?: SecurityLevel
  /** The level that was asked for, where rule and request allowed a lower one and the pool was dry. */
  readonly loweredFrom?: SecurityLevel
  readonly trustClass?: TrustClass
  readonly integration?: string
  readonly reason?: string
  /** Who made a call (`operator`), or had a hand in what happened (`alarm`). */
  readonly operator?: OperatorIdentity
  /** Name of an operator's call ... */
  readonly call?: string
  /** ... and what it was given. */
  readonly arguments?: unknown
  /** Name of an alarm that changed its state. */
  readonly alarm?: string
}

/** Where decisions are written before they take effect. */
export interface AuditLog extends Closable {
  /**
   * Appends the entry and resolves when it is durable; entries that come together share one write.
   * @throws {StoreError} it is not: what it was to say must not happen
   */
  record(entry: AuditEntry): Promise<void>
}
