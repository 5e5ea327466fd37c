import { StoreError } from '../../errors.ts'
import { type Kek, type WrappingKey, wrappingKey } from './wrapping-key.ts'

/**
 * The key encryption keys under which the slots of a store may be sealed: one for all that is written, and, while keys
 * change, those before it for what was not sealed anew yet.
 */
export class KekRing {
  readonly #byName = new Map<string, WrappingKey>()
  #current: WrappingKey

  constructor(current: Kek, ...earlier: readonly Kek[]) {
    for (const key of earlier) this.#add(wrappingKey(key))
    this.#current = this.#add(wrappingKey(current))
  }

  /** What everything is sealed under from now on, and its name of 4 bytes. */
  get current(): WrappingKey {
    return this.#current
  }

  /** Seals under `key` from now on; those before it go on opening what they sealed. */
  renew(key: Kek): void {
    this.#current = this.#add(wrappingKey(key))
  }

  /** Wipes and forgets every key but the current one. */
  forgetEarlier(): void {
    for (const [name, key] of this.#byName) {
      if (key === this.#current) continue
      key.wipe()
      this.#byName.delete(name)
    }
  }

  /** @throws {StoreError} no key of this name is here */
  find(name: Buffer): WrappingKey {
    const key = this.#byName.get(name.toString('hex'))
    if (key !== undefined) return key
    throw new StoreError(
      `A slot is sealed under key encryption key ${name.toString('hex')}, and only ${[...this.#byName.keys()].join(' and ')} is given; was the key file replaced, or is "previous" missing?`,
    )
  }

  /** Takes leave of the devices in which keys are. What this process holds stays. */
  close(): void {
    for (const key of this.#byName.values()) key.close()
  }

  #add(key: WrappingKey): WrappingKey {
    const name = key.name.toString('hex')
    const known = this.#byName.get(name)
    if (known === undefined) this.#byName.set(name, key)
    // The same key again, as after a crash in the middle of a change: one copy is enough.
    else if (known !== key) key.wipe()
    return known ?? key
  }
}
