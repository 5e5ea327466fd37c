import type { Incident } from './incident.ts'
import type { SecurityLevel, TrustClass } from './kms.ts'
import type { Closable } from './lifecycle.ts'
import type { OperatorIdentity } from './operator.ts'
import type { BlockWay } from './qnl.ts'

/** How a key comes from cells: taken as they are; joined with the block's post-quantum secret; or from a block that two sites made. */
export type KeyDerivation = 'raw' | 'hybrid-xor' | 'hybrid-kdf' | 'expanded' | 'post-quantum'

/** The site's own word on all lines up to one of them, signed with ML-DSA-65. */
export interface AuditCheckpoint {
  /** Number and hash of that line. */
  readonly n: number
  readonly link: string
  /** When it was signed, ISO 8601 in UTC; signed too, since what stands in the last line of a log is under no other signature. */
  readonly at: string
  /** Base64. */
  readonly signature: string
  /** SHA-256 of the signer's public key, hex. */
  readonly signer: string
  /** Its certificate, DER in base64: in the first checkpoint of each start. */
  readonly certificate?: string
}

/** What is written of one decision. Never a key byte; key_IDs name keys only to the two KMSs. */
export interface AuditEntry {
  readonly event:
    | 'issue'
    | 'share'
    | 'deliver'
    | 'refuse'
    | 'policy'
    | 'start'
    | 'operator'
    | 'alarm'
    | 'block'
    | 'lease'
    | 'receipt'
    | 'incident'
    | 'checkpoint'
    | 'rekey'
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
  /** Of keys: the blocks that they lie in, in the order of `keyIds`; one alone where it is the same for all. */
  readonly blocks?: readonly string[]
  /** Of keys: what they are made by. */
  readonly derivation?: KeyDerivation
  /** Of keys that went to several sites: the pools of the others, and the blocks there that hid them on the way. */
  readonly via?: readonly { readonly peerSiteId: string; readonly blocks: readonly string[] }[]
  /** Of a block (`block`, `lease`): its number. */
  readonly block?: string
  /** Of a block that has come: how, over what, and when. */
  readonly way?: BlockWay
  /** Of a block that two sites made: the cell that it grew from, where it did. */
  readonly seed?: { readonly block: string; readonly offset: number }
  /** Of a block: the epoch of the pair secret that its tags, and its hybrid keys, go by. */
  readonly epoch?: number
  /** Of a lease: the cells, and on which side. */
  readonly cells?: { readonly from: number; readonly to: number }
  /** What a host says of a key that it has. */
  readonly receipt?: { readonly saeId: string; readonly peerSaeId: string; readonly use: string; readonly atMs: number }
  readonly incident?: Pick<Incident, 'id' | 'state' | 'selector' | 'originSiteId' | 'by'>
  readonly checkpoint?: AuditCheckpoint
}

/** Where decisions are written before they take effect. */
export interface AuditLog extends Closable {
  /**
   * Appends the entry and resolves when it is durable; entries that come together share one write.
   * @throws {StoreError} it is not: what it was to say must not happen
   */
  record(entry: AuditEntry): Promise<void>
}
