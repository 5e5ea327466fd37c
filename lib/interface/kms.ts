import type { SecretKey } from '../key/secret-key.ts'
import type { AbortOptions, Closable } from './lifecycle.ts'

/** What a key is made of (design, section 4). A property of every key: asked for, checked, and reported with it. */
export type SecurityLevel = 'one-time-pad' | 'quantum' | 'hybrid' | 'expanded' | 'post-quantum'

/**
 * How the key material of a block came to both sites: over one link, by disjoint shares, through trusted relays, or over a
 * link without a quantum channel, which is as secret as ML-KEM is hard.
 */
export type TrustClass = 'direct' | 'split' | 'relayed' | 'post-quantum'

/** A key as a host gets it. The caller owns `secret` and wipes it after use. */
export interface Key {
  /** The sealed selection in UUID form, lower case; what Alice tells Bob. */
  readonly keyId: string
  readonly secret: SecretKey
  readonly sizeBits: number
  /** The level the key really has; undefined where a foreign KME does not say. */
  readonly level: SecurityLevel | undefined
  /** How its material came; undefined where a foreign KME does not say. */
  readonly trustClass: TrustClass | undefined
}

/** How the pool fares, as every host may know it: what others take stands with the site's own metrics alone. */
export interface PoolOutlook {
  /** Cells of 32 bytes that went because a store was put back, so far; left out for none. */
  readonly lostCells?: number
  /** `changing` for some seconds after demand has leapt or dropped. */
  readonly trend: 'steady' | 'changing'
  /** The network grants less key than hosts ask for, for several seconds now. */
  readonly degraded: boolean
  /** How long the stock lasts at the present rate, in milliseconds; undefined where nobody asks for key. */
  readonly exhaustionMs?: number
}

/** State of the pool between two SAEs' sites (ETSI GS QKD 014 V1.1.1, clause 6.1). Sizes in bits. */
export interface KmsStatus {
  readonly sourceKmeId: string
  readonly targetKmeId: string
  readonly masterSaeId: string
  readonly slaveSaeId: string
  readonly keySizeBits: number
  /** Keys of the default size that could be had now. */
  readonly storedKeyCount: number
  readonly maxKeyCount: number
  readonly maxKeyPerRequest: number
  readonly maxKeySizeBits: number
  readonly minKeySizeBits: number
  /** How many further slaves one request may name; 0 means no multicast. */
  readonly maxSaeIdCount: number
  /** Only of KMEs of this kind. */
  readonly outlook?: PoolOutlook
}

/** Options of `getKey`. */
export interface GetKeyOptions extends AbortOptions {
  /** How many keys; integer from 1 to the status's `maxKeyPerRequest`. Default 1. */
  number?: number
  /** Size of each key in bits, a multiple of 8 within the status's limits. Default the status's `keySizeBits`. */
  sizeBits?: number
  /**
   * Further SAEs that get the same keys under the same key_IDs (ETSI's additional_slave_SAE_IDs), at the slave's site, at the
   * caller's own or at others: at most `maxSaeIdCount`, each once, none of them master or slave. The keys are given only
   * once every one of their sites has them, durably. Each SAE fetches with `getKeyWithIds`, once. Level and trust class are
   * the lowest of all the ways. Default none.
   */
  additionalSlaveSaeIds?: readonly string[]
  /** The level asked for; refused where the policy does not allow it. Default the policy's. */
  level?: SecurityLevel
  /**
   * The lowest level that will do. Where it is below the level asked for, a policy that says so may lower the keys of a dry pool
   * to it; what comes says its own level. Default the level itself: it is never lowered.
   */
  minLevel?: SecurityLevel
  /** What the key is for, where policies tell hosts' uses apart: `tls`, `strongswan`, `kerberos` or a name of its own. */
  integration?: string
  /** ETSI's extension_mandatory: every entry must be understood, or the request is refused and consumes nothing. */
  extensionMandatory?: readonly Record<string, unknown>[]
  /** ETSI's extension_optional: entries that are not understood are passed over. */
  extensionOptional?: readonly Record<string, unknown>[]
  /** How long to wait for an answer, in milliseconds; a positive integer. Default 5000. */
  timeoutMs?: number
}

/** Options of `getKeyWithIds` and `getStatus`. */
export interface KmsCallOptions extends AbortOptions {
  /** How long to wait for an answer, in milliseconds; a positive integer. Default 5000. */
  timeoutMs?: number
}

/** Options of `getKeyWithIds`. */
export interface GetKeyWithIdsOptions extends KmsCallOptions {
  /** The lowest level that will do; a key below it, or of a level that nobody tells, is refused. Default any. */
  minLevel?: SecurityLevel
}

/** What a host says of a key that it has: that something stands on it, or no more. */
export interface KeyReceipt {
  readonly keyId: string
  readonly state: 'in-use' | 'retired'
  /** What stands on it: `tls`, `strongswan`, `kerberos` or a name of the host's own; 1 to 64 of a-z, 0-9 and `-`. */
  readonly use: string
  /** Since when, by the host's clock, in milliseconds. Default now. */
  readonly atMs?: number
}

/**
 * The key management service as one host (SAE) sees it, with the semantics of ETSI GS QKD 014. Embedded and remote
 * backends behave alike; one compliance suite runs against all of them.
 */
export interface Kms extends Closable {
  /** The SAE as which every call is made. */
  readonly saeId: string

  /**
   * The state of the pool towards `slaveSaeId`. Consumes nothing.
   * @throws {UnauthorizedError} this SAE is not registered at the KMS
   * @throws {InvalidArgumentError} the slave is unknown, or is this SAE itself
   */
  getStatus(slaveSaeId: string, options?: KmsCallOptions): Promise<KmsStatus>

  /**
   * Fresh keys shared with `slaveSaeId`, in any number up to the limit: all of them or none. Each call gets keys that
   * nobody got before; never retried silently, because each try consumes.
   * @throws {InvalidArgumentError} unknown slave, number or size out of range
   * @throws {PoolExhaustedError} not enough key now; nothing was consumed
   * @throws {PolicyError} the policy refuses, for the slave or one of the further ones; nothing was consumed
   * @throws {PoolDesyncError} the KMS of a further slave's site can't be reached, or did not confirm; no key was given
   */
  getKey(slaveSaeId: string, options?: GetKeyOptions): Promise<Key[]>

  /**
   * The keys that `masterSaeId` was given under these key_IDs, in the order asked: all of them or none, each once.
   * @throws {KeyNotFoundError} an ID is unknown, expired or was delivered before; nothing was consumed
   * @throws {UnauthorizedError} an ID was issued to somebody else; nothing was consumed
   */
  getKeyWithIds(masterSaeId: string, keyIds: readonly string[], options?: GetKeyWithIdsOptions): Promise<Key[]>

  /**
   * Says which keys shared with `peerSaeId` are in use, or no more: at most 64 at a time, written to the KMS's audit log before
   * this resolves. So an incident can be answered with who still stands on which key. Not in the standard: KMEs of other makes
   * lack it, and then so may this.
   * @throws {UnauthorizedError} a key was given to somebody else
   * @throws {KmeResponseError} the KME takes no receipts
   */
  reportKeys?(peerSaeId: string, receipts: readonly KeyReceipt[], options?: KmsCallOptions): Promise<void>
}

/** A site's KMS: hands out its face for each registered SAE. The identity must have been authenticated by the caller. */
export interface KmsDirectory {
  /**
   * The KMS as `saeId` sees it.
   * @throws {UnauthorizedError} no such SAE is registered at this site
   */
  kmsFor(saeId: string): Kms
}
