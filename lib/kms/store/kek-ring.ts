import { StoreError } from '../../errors.ts'
import { keyName } from '../../key/key-name.ts'
import type { SecretKey } from '../../key/secret-key.ts'

/**
 * The key encryption keys under which the slots of a store may be sealed: one for all that is written, and, while keys
 * change, those before it for what was not sealed anew yet.
 */
export class KekRing {
  readonly #byName = new Map<string, SecretKey>()
  #current: { readonly name: Buffer; readonly key: SecretKey }

  constructor(current: SecretKey, ...earlier: readonly SecretKey[]) {
    for (const key of earlier) this.#byName.set(keyName(key).toString('hex'), key)
    this.#current = this.#add(current)
  }

  /** What everything is sealed under from now on, and its name of 4 bytes. */
  get current(): { readonly name: Buffer; readonly key: SecretKey } {
    return this.#current
  }

  /** Seals under `key` from now on; those before it go on opening what they sealed. */
  renew(key: SecretKey): void {
    this.#current = this.#add(key)
  }

  /** Wipes and forgets every key but the current one. */
  forgetEarlier(): void {
    for (const [name, key] of this.#byName) {
      if (key === this.#current.key) continue
      key.wipe()
      this.#byName.delete(name)
    }
  }

  /** @throws {StoreError} no key of this name is here */
  find(name: Buffer): SecretKey {
    const key = this.#byName.get(name.toString('hex'))
    if (key !== undefined) return key
    throw new StoreError(
      `A slot is sealed under key encryption key ${name.toString('hex')}, and only ${[...this.#byName.keys()].join(' and ')} is given; was the key file replaced, or is "previous" missing?`,
    )
  }

  #add(key: SecretKey): { name: Buffer; key: SecretKey } {
    const name = keyName(key)
    const known = this.#byName.get(name.toString('hex'))
    if (known === undefined) this.#byName.set(name.toString('hex'), key)
    // The same key again, as after a crash in the middle of a change: one copy is enough.
    else if (known !== key) key.wipe()
    return { name, key: known ?? key }
  }
}
