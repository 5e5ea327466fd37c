import { StoreError } from '../../../errors.ts'
import type { Logger } from '../../../interface/logger.ts'
import type { SlotStore } from '../../../interface/pool-store.ts'
import type { SecretKey } from '../../../key/secret-key.ts'
import { KekRing } from '../kek-ring.ts'
import { decodeSlot, encodeSlot, isSlotOf, renewSlot } from '../slot-codec.ts'
import type { HostKey } from './host-key.ts'
import type { Held, Query, SiteWriter } from './site-writer.ts'

/** What the slots are made from; nothing of it is theirs to close. */
export interface PostgresSlotsOptions {
  readonly siteId: string
  readonly writer: SiteWriter
  readonly hostKey: HostKey
  /** How long what was erased may still open by a copy of the database, in milliseconds: see `destroyErased`. */
  readonly shredMs: number
  readonly logger?: Logger
}

/**
 * Wrapped keys in the database, under the epoch key that each host of the site keeps outside it. A row that is deleted
 * lingers in dead tuples, the log, standbys and backups; what destroys it is that all others are wrapped anew under the
 * next epoch key, and the one before is overwritten.
 */
export class PostgresSlots implements SlotStore, Held {
  readonly #options: PostgresSlotsOptions
  #keks: KekRing
  readonly #slots = new Map<number, Buffer>()
  #isHeld = false
  #free: number[] = []
  #next = 0
  /** What a run before this one erased may not be destroyed yet. */
  #hasErased = true
  #destroying: Promise<void> = Promise.resolve()
  readonly #timer: NodeJS.Timeout

  constructor(options: PostgresSlotsOptions) {
    this.#options = options
    this.#keks = new KekRing(options.hostKey.current.copy())
    this.#timer = setInterval(() => void this.destroyErased().catch(error => this.#warn(error)), options.shredMs)
    this.#timer.unref()
  }

  put(secret: SecretKey, context: Uint8Array): Promise<number> {
    return this.#options.writer.run({
      needs: [this],
      prepare: batch => {
        const slot = this.#free.pop() ?? this.#next++
        const bytes = encodeSlot(this.#keks, secret, context)
        this.#slots.set(slot, bytes)
        batch.slot(slot, bytes)
        return slot
      },
    })
  }

  read(slot: number, context: Uint8Array): Promise<SecretKey> {
    return this.#options.writer.run({
      needs: [this],
      prepare: () => {
        const bytes = this.#slots.get(slot)
        if (bytes === undefined) throw new StoreError(`Slot ${slot} is empty: its key was destroyed`)
        return decodeSlot(this.#keks, bytes, context)
      },
    })
  }

  erase(slot: number, context?: Uint8Array): Promise<void> {
    return this.#erase([slot], context === undefined ? undefined : isSlotOf(context))
  }

  async eraseAllBut(live: ReadonlySet<number>): Promise<void> {
    const slots = await this.#options.writer.run({ needs: [this], prepare: () => [...this.#slots.keys()] })
    await this.#erase(slots.filter(slot => !live.has(slot)))
  }

  /**
   * Wraps every key anew under the next epoch key and destroys the one before, if anything was erased since. Hosts that do
   * not own the site follow by themselves as soon as they see the epoch in the database.
   */
  destroyErased(): Promise<void> {
    this.#destroying = this.#destroying.then(
      () => this.#destroy(),
      () => this.#destroy(),
    )
    return this.#destroying
  }

  async load(query: Query): Promise<void> {
    if (this.#isHeld) return
    const rows = await query('select slot, value from qkd_slot where site_id = $1', [this.#options.siteId])
    for (const { slot, value } of rows) this.#slots.set(Number(slot), value as Buffer)
    this.#next = 1 + Math.max(-1, ...this.#slots.keys())
    this.#free = Array.from({ length: this.#next }, (_, slot) => slot).filter(slot => !this.#slots.has(slot))
    this.#isHeld = true
  }

  drop(): void {
    this.#isHeld = false
    this.#slots.clear()
  }

  async close(): Promise<void> {
    clearInterval(this.#timer)
    await this.#destroying.catch(() => {})
    this.#keks.current.wipe()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #erase(slots: readonly number[], mayErase: (bytes: Uint8Array) => boolean = () => true): Promise<void> {
    await this.#options.writer.run({
      needs: [this],
      prepare: batch => {
        for (const slot of slots) {
          const bytes = this.#slots.get(slot)
          if (bytes === undefined || !mayErase(bytes)) continue
          this.#slots.delete(slot)
          this.#hasErased = true
          this.#free.push(slot)
          batch.slot(slot, undefined)
        }
      },
    })
  }

  async #destroy(): Promise<void> {
    if (!this.#hasErased) return
    const { writer, hostKey } = this.#options
    const before = this.#keks
    const next = hostKey.current.next()
    const ring = new KekRing(next.key, hostKey.current.copy())
    try {
      await writer.run({
        needs: [this],
        prepare: batch => {
          this.#hasErased = false
          this.#keks = ring
          for (const [slot, bytes] of this.#slots) {
            const renewed = renewSlot(ring, bytes)
            if (!(renewed instanceof Buffer)) continue
            this.#slots.set(slot, renewed)
            batch.slot(slot, renewed)
          }
          batch.keyEpoch = next.epoch
        },
      })
    } catch (error) {
      // What is put from now on must open by the key that this host has.
      this.#hasErased = true
      this.#keks = before
      ring.forgetEarlier()
      ring.current.wipe()
      throw error
    }
    ring.forgetEarlier()
    before.current.wipe()
    try {
      await hostKey.advanceTo(next.epoch)
    } catch (error) {
      // The key before still lies on this host: the next turn goes on with it.
      this.#hasErased = true
      throw error
    }
  }

  #warn(error: unknown): void {
    this.#options.logger?.warn({ reason: (error as Error).message }, 'Erased keys are not destroyed yet')
  }
}
