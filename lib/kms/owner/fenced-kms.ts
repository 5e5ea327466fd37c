import { KmeResponseError } from '../../errors.ts'
import type {
  GetKeyOptions,
  GetKeyWithIdsOptions,
  Key,
  KeyReceipt,
  Kms,
  KmsCallOptions,
  KmsStatus,
} from '../../interface/kms.ts'
import { unreachable } from './owner-calls.ts'

/**
 * The KMS of a process that owns the site's pools for a time: keys leave it only while that time lasts. Looked at after all
 * that makes a key durable, so that a process which was stopped in the middle gives out nothing stale when it goes on.
 */
export class FencedKms implements Kms {
  readonly saeId: string
  readonly #kms: Kms
  readonly #isOwner: () => boolean

  constructor(kms: Kms, isOwner: () => boolean) {
    this.saeId = kms.saeId
    this.#kms = kms
    this.#isOwner = isOwner
  }

  getStatus(slaveSaeId: string, options?: KmsCallOptions): Promise<KmsStatus> {
    return this.#kms.getStatus(slaveSaeId, options)
  }

  async getKey(slaveSaeId: string, options?: GetKeyOptions): Promise<Key[]> {
    this.#require({ sent: false })
    return this.#current(await this.#kms.getKey(slaveSaeId, options))
  }

  async getKeyWithIds(masterSaeId: string, keyIds: readonly string[], options?: GetKeyWithIdsOptions): Promise<Key[]> {
    this.#require({ sent: false })
    return this.#current(await this.#kms.getKeyWithIds(masterSaeId, keyIds, options))
  }

  /** Nothing leaves with it: what a host says of its keys may be written by who owned them a moment ago. */
  async reportKeys(peerSaeId: string, receipts: readonly KeyReceipt[], options?: KmsCallOptions): Promise<void> {
    if (this.#kms.reportKeys === undefined) throw new KmeResponseError('The KME takes no receipts')
    await this.#kms.reportKeys(peerSaeId, receipts, options)
  }

  close(): Promise<void> {
    return this.#kms.close()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  #current(keys: Key[]): Key[] {
    try {
      this.#require({ sent: true })
      return keys
    } catch (error) {
      for (const { secret } of keys) secret.wipe()
      throw error
    }
  }

  #require({ sent }: { sent: boolean }): void {
    if (!this.#isOwner()) throw unreachable('This replica owns the pools of its site no more', { sent })
  }
}
