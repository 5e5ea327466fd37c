import type { SecretKey } from '../../../key/secret-key.ts'
import type { SpareKeys } from '../session/bb84-session.ts'

/** Keys that a link keeps for later sessions. */
const CAPACITY = 8

/**
 * Keys out of earlier blocks with which later sessions of the link begin, each once: after a connection was lost the ends
 * go on without the certificate or pre-shared key of their first round.
 */
export class AuthenticationReserve implements SpareKeys {
  /** Put in so far, and wiped without a use, in bits. */
  addedBits = 0
  discardedBits = 0
  readonly #keys = new Map<bigint, SecretKey>()

  get wanted(): number {
    return CAPACITY - this.#keys.size
  }

  get heldBits(): number {
    return [...this.#keys.values()].reduce((total, { sizeBits }) => total + sizeBits, 0)
  }

  /** Of the keys, ascending. */
  get numbers(): bigint[] {
    return [...this.#keys.keys()].sort((a, b) => (a < b ? -1 : 1))
  }

  /** Takes a key over; beyond the capacity the oldest one goes. */
  add(number: bigint, secret: SecretKey): void {
    this.#keys.set(number, secret)
    this.addedBits += secret.sizeBits
    if (this.#keys.size > CAPACITY) this.#discard(this.numbers[0]!)
  }

  /** The key of that number, which is then gone from here. */
  take(number: bigint): SecretKey | undefined {
    const secret = this.#keys.get(number)
    this.#keys.delete(number)
    return secret
  }

  /** Wipes all keys that the other end has not. */
  retain(numbers: readonly bigint[]): void {
    const shared = new Set(numbers)
    for (const number of this.numbers) if (!shared.has(number)) this.#discard(number)
  }

  wipe(): void {
    this.retain([])
  }

  #discard(number: bigint): void {
    const secret = this.take(number)
    this.discardedBits += secret?.sizeBits ?? 0
    secret?.wipe()
  }
}
