import type { GetKeyOptions, Key, Kms, KmsCallOptions, KmsStatus } from '../../../lib/index.ts'

/** A Kms that passes every call on, counts the look-ups, keeps the keys to look at, and lets a test step in between. */
export class WatchedKms implements Kms {
  /** Every key that came out of it. */
  readonly keys: Key[] = []
  /** Look-ups begun, and those of them that have not ended. */
  fetches = 0
  pending = 0
  mostPending = 0
  /** Called before each look-up; what it returns is waited for, what it throws is the answer. */
  beforeFetch: (options: KmsCallOptions) => Promise<void> | void = () => {}
  /** Called with the keys of every `getKey` or look-up; its result is what the caller gets. */
  alter: (keys: Key[]) => Key[] = keys => keys
  readonly #kms: Kms

  constructor(kms: Kms) {
    this.#kms = kms
  }

  get saeId(): string {
    return this.#kms.saeId
  }

  getStatus(slaveSaeId: string, options?: KmsCallOptions): Promise<KmsStatus> {
    return this.#kms.getStatus(slaveSaeId, options)
  }

  async getKey(slaveSaeId: string, options?: GetKeyOptions): Promise<Key[]> {
    return this.#keep(await this.#kms.getKey(slaveSaeId, options))
  }

  async getKeyWithIds(masterSaeId: string, keyIds: readonly string[], options: KmsCallOptions = {}): Promise<Key[]> {
    this.fetches += 1
    this.pending += 1
    this.mostPending = Math.max(this.mostPending, this.pending)
    try {
      await this.beforeFetch(options)
      return this.#keep(await this.#kms.getKeyWithIds(masterSaeId, keyIds, options))
    } finally {
      this.pending -= 1
    }
  }

  close(): Promise<void> {
    return this.#kms.close()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  #keep(keys: Key[]): Key[] {
    const altered = this.alter(keys)
    this.keys.push(...altered)
    return altered
  }
}
