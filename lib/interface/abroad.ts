import type { SecretKey } from '../key/secret-key.ts'
import type { AbortOptions } from './lifecycle.ts'

/** Which keys, and whom they are for: hosts of another domain, or from one. */
export interface AbroadKeyIds {
  /** The SAE that asked for the keys: the master. */
  readonly initiatorSaeId: string
  /** The SAEs that shall fetch them. */
  readonly targetSaeIds: readonly string[]
  readonly keyIds: readonly string[]
}

/** Keys on their way across the border of a domain. Whoever hands them over still owns and wipes them. */
export interface AbroadHandover extends Omit<AbroadKeyIds, 'keyIds'> {
  readonly keys: readonly { readonly keyId: string; readonly secret: SecretKey }[]
}

/** The KME of another domain at this same site. */
export interface AbroadKme {
  readonly kmeId: string
  /**
   * Hands keys over; resolves when the targets' own KMEs hold them, and not before.
   * @throws {QkdError} they don't, or it isn't known: withdraw them
   */
  handOver(handover: AbroadHandover, options: Required<AbortOptions>): Promise<void>
  /** Has keys erased there; resolves when they are, or were never there. */
  withdraw(keyIds: AbroadKeyIds, options: Required<AbortOptions>): Promise<void>
}

/** What a site does with keys that come from another domain. */
export interface AbroadReceiver {
  /** Takes keys for hosts of this domain; resolves when their sites hold them durably. The keys stay the caller's. */
  take(handover: AbroadHandover, options: Required<AbortOptions>): Promise<void>
  /** Erases keys that came so, wherever they are in this domain; gives false where a site could not be told. */
  erase(keyIds: AbroadKeyIds): Promise<boolean>
}
