import { randomUUID } from 'node:crypto'
import {
  type GetKeyOptions,
  type Key,
  KeyNotFoundError,
  type Kms,
  type KmsStatus,
  SecretKey,
} from '../../../lib/index.ts'

/** Two KMSs in memory that share what one of them gave out. To be replaced by real sites. */
export function createKmsPair(): { alice: Kms; bob: Kms } {
  const issued = new Map<string, SecretKey>()
  return { alice: new MemoryKms('ALICE', issued), bob: new MemoryKms('BOB', issued) }
}

class MemoryKms implements Kms {
  readonly saeId: string
  readonly #issued: Map<string, SecretKey>

  constructor(saeId: string, issued: Map<string, SecretKey>) {
    this.saeId = saeId
    this.#issued = issued
  }

  getStatus(): Promise<KmsStatus> {
    throw new Error('not needed')
  }

  async getKey(slaveSaeId: string, { number = 1, sizeBits = 256 }: GetKeyOptions = {}): Promise<Key[]> {
    return Array.from({ length: number }, () => {
      const keyId = randomUUID()
      const secret = SecretKey.random(sizeBits / 8)
      this.#issued.set(
        `${this.saeId} ${slaveSaeId} ${keyId}`,
        secret.expose('application', bytes => SecretKey.copyOf(bytes)),
      )
      return toKey(keyId, secret)
    })
  }

  async getKeyWithIds(masterSaeId: string, keyIds: readonly string[]): Promise<Key[]> {
    const names = keyIds.map(keyId => `${masterSaeId} ${this.saeId} ${keyId}`)
    if (!names.every(name => this.#issued.has(name))) throw new KeyNotFoundError()
    return names.map((name, i) => {
      const secret = this.#issued.get(name)!
      this.#issued.delete(name)
      return toKey(keyIds[i]!, secret)
    })
  }

  async close(): Promise<void> {}
  async [Symbol.asyncDispose](): Promise<void> {}
}

function toKey(keyId: string, secret: SecretKey): Key {
  return { keyId, secret, sizeBits: secret.sizeBits, level: 'quantum', trustClass: 'direct' }
}
