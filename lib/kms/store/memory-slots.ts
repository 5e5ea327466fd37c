import { StoreError } from '../../errors.ts'
import type { SlotStore } from '../../interface/pool-store.ts'
import { SecretKey } from '../../key/secret-key.ts'
import { KekRing } from './kek-ring.ts'
import { decodeSlot, encodeSlot, isSlotOf } from './slot-codec.ts'

/** Slots beside a `MemoryPoolStore`: the same sealing under a key that exists only in this process. */
export class MemorySlots implements SlotStore {
  readonly #kek = SecretKey.random(32)
  readonly #keks = new KekRing(this.#kek)
  readonly #slots: (Uint8Array | undefined)[] = []

  async put(secret: SecretKey, context: Uint8Array): Promise<number> {
    const free = this.#slots.indexOf(undefined)
    const slot = free === -1 ? this.#slots.length : free
    this.#slots[slot] = encodeSlot(this.#keks, secret, context)
    return slot
  }

  async read(slot: number, context: Uint8Array): Promise<SecretKey> {
    const bytes = this.#slots[slot]
    if (bytes === undefined) throw new StoreError(`Slot ${slot} is empty: its key was destroyed`)
    return decodeSlot(this.#keks, bytes, context)
  }

  async erase(slot: number, context?: Uint8Array): Promise<void> {
    const bytes = this.#slots[slot]
    if (bytes === undefined || (context !== undefined && !isSlotOf(context)(bytes))) return
    bytes.fill(0)
    this.#slots[slot] = undefined
  }

  async eraseAllBut(live: ReadonlySet<number>): Promise<void> {
    for (const slot of this.#slots.keys()) if (!live.has(slot)) await this.erase(slot)
  }

  async close(): Promise<void> {
    for (const slot of this.#slots) slot?.fill(0)
    this.#slots.length = 0
    this.#kek.wipe()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}
