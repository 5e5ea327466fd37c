import { type FileHandle, open } from 'node:fs/promises'
import { StoreError } from '../../errors.ts'
import type { SlotStore } from '../../interface/pool-store.ts'
import type { SecretKey } from '../../key/secret-key.ts'
import { decodeSlot, encodeSlot, isEmptySlot, SLOT_BYTES } from './slot-codec.ts'

interface PendingWrite {
  readonly slot: number
  readonly bytes: Uint8Array
  resolve(): void
  reject(reason: unknown): void
}

/**
 * The slot file: wrapped block keys and pair secrets in places of 128 bytes, overwritten where they lie and synced,
 * because a database that copies on write keeps what it deletes readable. Holds no counters: losing a place loses a
 * block, and never issues an index twice. One process at a time; the store beside it sees to that.
 */
export class SlotFile implements SlotStore {
  readonly #file: FileHandle
  readonly #kek: SecretKey
  readonly #free: number[] = []
  readonly #erasing = new Map<number, Promise<void>>()
  #places: number
  #pending: PendingWrite[] = []
  #flushing: Promise<void> | undefined

  private constructor(file: FileHandle, kek: SecretKey, places: number) {
    this.#file = file
    this.#kek = kek
    this.#places = places
  }

  /** Opens the file, or creates it with mode 0600. The key that wraps the slots stays the caller's to wipe. */
  static async open(path: string, { kek }: { kek: SecretKey }): Promise<SlotFile> {
    const file = await open(path, 'r+').catch((cause: NodeJS.ErrnoException) => {
      if (cause.code === 'ENOENT') return open(path, 'wx+', 0o600)
      throw new StoreError(`Cannot open the slot file ${path}: ${cause.message}`, { cause })
    })
    const { size } = await file.stat()
    const slots = new SlotFile(file, kek, Math.ceil(size / SLOT_BYTES))
    for (let slot = slots.#places - 1; slot >= 0; slot--) {
      if (isEmptySlot(await slots.#readPlace(slot))) slots.#free.push(slot)
    }
    return slots
  }

  async put(secret: SecretKey, context: Uint8Array): Promise<number> {
    const bytes = encodeSlot(this.#kek, secret, context)
    const slot = this.#free.pop() ?? this.#places++
    await this.#write(slot, bytes)
    return slot
  }

  async read(slot: number, context: Uint8Array): Promise<SecretKey> {
    return decodeSlot(this.#kek, await this.#readPlace(slot), context)
  }

  async erase(slot: number): Promise<void> {
    if (slot < 0 || slot >= this.#places || this.#free.includes(slot)) return
    let erasing = this.#erasing.get(slot)
    if (erasing === undefined) {
      // Free once and for all: two that erase at the same moment must not both give the place away.
      erasing = this.#write(slot, new Uint8Array(SLOT_BYTES))
        .then(() => void this.#free.push(slot))
        .finally(() => this.#erasing.delete(slot))
      this.#erasing.set(slot, erasing)
    }
    await erasing
  }

  async eraseAllBut(live: ReadonlySet<number>): Promise<void> {
    const dead = Array.from({ length: this.#places }, (_, slot) => slot).filter(slot => !live.has(slot))
    await Promise.all(dead.map(slot => this.erase(slot)))
  }

  async close(): Promise<void> {
    await this.#flushing
    await this.#file.close()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #readPlace(slot: number): Promise<Buffer> {
    const place = Buffer.alloc(SLOT_BYTES)
    await this.#file.read(place, 0, SLOT_BYTES, slot * SLOT_BYTES)
    return place
  }

  /** Writes of the same moment share one sync: the promise settles when the bytes are on the disk. */
  #write(slot: number, bytes: Uint8Array): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#pending.push({ slot, bytes, resolve, reject })
      this.#flushing ??= this.#flush().finally(() => {
        this.#flushing = undefined
      })
    })
  }

  async #flush(): Promise<void> {
    while (this.#pending.length > 0) {
      const batch = this.#pending
      this.#pending = []
      try {
        for (const { slot, bytes } of batch) await this.#file.write(bytes, 0, SLOT_BYTES, slot * SLOT_BYTES)
        await this.#file.datasync()
        for (const write of batch) write.resolve()
      } catch (cause) {
        for (const write of batch) write.reject(new StoreError('The slot file cannot be written', { cause }))
      }
    }
  }
}
