import { type FileHandle, open } from 'node:fs/promises'
import { StoreError } from '../../errors.ts'
import type { SlotStore } from '../../interface/pool-store.ts'
import { lp } from '../../key/lp.ts'
import { SecretKey } from '../../key/secret-key.ts'
import { KekRing } from './kek-ring.ts'
import { decodeSlot, encodeSlot, isEmptySlot, isSlotOf, renewSlot, SLOT_BYTES } from './slot-codec.ts'
import type { Kek } from './wrapping-key.ts'

/** What came of sealing every place anew. */
export interface RekeyReport {
  /** Places that were sealed under another key before. */
  readonly renewed: number
  /** Places that no key opens: what they held is lost, and was before. */
  readonly damaged: number
}

/** Places that share a sync while keys change. */
const REKEY_TOGETHER = 256

/** Places that are read at once where all are looked at. */
const READ_TOGETHER = 1024

interface PendingWrite {
  readonly slot: number
  /** What to write, told when its turn has come: nothing where undefined. */
  readonly bytes: () => Uint8Array | undefined | Promise<Uint8Array | undefined>
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
  readonly #keks: KekRing
  readonly #free: number[] = []
  /** Erasures under way, each of which tells whether the place was erased. */
  readonly #erasing = new Map<number, Promise<boolean>>()
  /** Places whose zeros are written, and not known to be on the disk. */
  readonly #halfErased = new Set<number>()
  /** Places of the file's own, which no owner of the others knows. */
  readonly #kept = new Set<number>()
  #places: number
  #pending: PendingWrite[] = []
  #flushing: Promise<void> | undefined

  private constructor(file: FileHandle, keks: KekRing, places: number) {
    this.#file = file
    this.#keks = keks
    this.#places = places
  }

  /**
   * Opens the file, or creates it with mode 0600. `kek` wraps all that is written; `earlier` opens what was sealed before it.
   * Both are held until another one follows, and wiped then.
   */
  static async open(path: string, { kek, earlier }: { kek: Kek; earlier?: Kek }): Promise<SlotFile> {
    const file = await open(path, 'r+').catch((cause: NodeJS.ErrnoException) => {
      if (cause.code === 'ENOENT') return open(path, 'wx+', 0o600)
      throw new StoreError(`Cannot open the slot file ${path}: ${cause.message}`, { cause })
    })
    const { size } = await file.stat()
    const slots = new SlotFile(file, new KekRing(kek, ...(earlier ? [earlier] : [])), Math.ceil(size / SLOT_BYTES))
    // The lowest places are taken again first.
    slots.#free.push(...(await slots.#placesThat(isEmptySlot)).reverse())
    return slots
  }

  async put(secret: SecretKey, context: Uint8Array): Promise<number> {
    const bytes = encodeSlot(this.#keks, secret, context)
    const slot = this.#free.pop() ?? this.#places++
    try {
      await this.#write(slot, () => bytes)
    } catch (error) {
      // Nobody hears of the place: the next secret overwrites what came of this one.
      this.#free.push(slot)
      throw error
    }
    return slot
  }

  async read(slot: number, context: Uint8Array): Promise<SecretKey> {
    return decodeSlot(this.#keks, await this.#readPlace(slot), context)
  }

  async erase(slot: number, context?: Uint8Array): Promise<void> {
    if (slot < 0 || slot >= this.#places || this.#free.includes(slot)) return
    // Free once and for all: two that erase at the same moment must not both give the place away.
    for (let other = this.#erasing.get(slot); other !== undefined; other = this.#erasing.get(slot))
      if (await other) return
    const erasing = this.#erase(slot, context).finally(() => this.#erasing.delete(slot))
    this.#erasing.set(slot, erasing)
    await erasing
  }

  /** A key of the file's own by name: made at the first call, the same at all later ones. The caller wipes it. */
  async ownKey(name: string): Promise<SecretKey> {
    const [found] = await this.ownKeys(name)
    if (found !== undefined) return found.key
    const key = SecretKey.random(32)
    await this.putOwnKey(name, key)
    return key
  }

  /** The file's own keys of that name, each with its place; the caller wipes them. */
  async ownKeys(name: string): Promise<{ slot: number; key: SecretKey }[]> {
    const context = ownContext(name)
    const found: { slot: number; key: SecretKey }[] = []
    for (const slot of await this.#placesThat(isSlotOf(context))) {
      this.#kept.add(slot)
      found.push({ slot, key: await this.read(slot, context) })
    }
    return found
  }

  /** Keeps a key as the file's own, durably, beside those of that name; gives its place. */
  async putOwnKey(name: string, key: SecretKey): Promise<number> {
    const slot = await this.put(key, ownContext(name))
    this.#kept.add(slot)
    return slot
  }

  async eraseAllBut(live: ReadonlySet<number>): Promise<void> {
    const dead = Array.from({ length: this.#places }, (_, slot) => slot).filter(
      slot => !live.has(slot) && !this.#kept.has(slot),
    )
    await Promise.all(dead.map(slot => this.erase(slot)))
  }

  /** Name of the key encryption key in use, in hex: it says nothing of the key. */
  get kekName(): string {
    return this.#keks.current.name.toString('hex')
  }

  /**
   * Seals every place anew under `kek`, or where undefined under the one in use; afterwards no other key opens any. Others
   * may go on reading, writing and erasing. What fails half-way is taken up by the next call; a damaged place stays as it is.
   * The keys before are wiped.
   */
  async rekey(kek?: Kek): Promise<RekeyReport> {
    if (kek !== undefined) this.#keks.renew(kek)
    const report = { renewed: 0, damaged: 0 }
    for (let first = 0; first < this.#places; first += REKEY_TOGETHER) {
      const places = Array.from({ length: Math.min(REKEY_TOGETHER, this.#places - first) }, (_, at) => first + at)
      // Told in turn with puts and erasures: a place that was erased meanwhile stays so.
      const renew = async (slot: number) => {
        const bytes = renewSlot(this.#keks, await this.#readPlace(slot))
        if (bytes === 'damaged') report.damaged += 1
        else if (bytes !== undefined) report.renewed += 1
        return bytes === 'damaged' ? undefined : bytes
      }
      await Promise.all(places.map(slot => this.#write(slot, () => renew(slot))))
    }
    this.#keks.forgetEarlier()
    return report
  }

  async close(): Promise<void> {
    await this.#flushing
    this.#keks.close()
    await this.#file.close()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  /** Frees a place, of that context where one is given; false where it holds something else. */
  async #erase(slot: number, context: Uint8Array | undefined): Promise<boolean> {
    let isOurs = false
    await this.#write(slot, async () => {
      // What an erasure that failed has left of a place tells nothing of its context any more.
      isOurs = context === undefined || this.#halfErased.has(slot) || isSlotOf(context)(await this.#readPlace(slot))
      if (!isOurs) return undefined
      this.#kept.delete(slot)
      this.#halfErased.add(slot)
      return new Uint8Array(SLOT_BYTES)
    })
    if (!isOurs) return false
    this.#halfErased.delete(slot)
    this.#free.push(slot)
    return true
  }

  /** The places of which that is true, ascending; read in large pieces, since a store of ten million cells has thousands. */
  async #placesThat(holds: (place: Uint8Array) => boolean): Promise<number[]> {
    const found: number[] = []
    const places = Buffer.alloc(READ_TOGETHER * SLOT_BYTES)
    for (let first = 0; first < this.#places; first += READ_TOGETHER) {
      // The last place may be a part of one; what is not there counts as zeros.
      places.fill(0)
      await this.#file.read(places, 0, places.byteLength, first * SLOT_BYTES)
      const count = Math.min(READ_TOGETHER, this.#places - first)
      for (let at = 0; at < count; at += 1)
        if (holds(places.subarray(at * SLOT_BYTES, (at + 1) * SLOT_BYTES))) found.push(first + at)
    }
    return found
  }

  async #readPlace(slot: number): Promise<Buffer> {
    const place = Buffer.alloc(SLOT_BYTES)
    await this.#file.read(place, 0, SLOT_BYTES, slot * SLOT_BYTES)
    return place
  }

  /** Writes of the same moment share one sync: the promise settles when the bytes are on the disk. */
  #write(slot: number, bytes: PendingWrite['bytes']): Promise<void> {
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
        for (const { slot, bytes } of batch) {
          const written = await bytes()
          if (written === undefined) continue
          const { bytesWritten } = await this.#file.write(written, 0, SLOT_BYTES, slot * SLOT_BYTES)
          if (bytesWritten < SLOT_BYTES) throw new StoreError('The slot file cannot be written: the disk is full')
        }
        await this.#file.datasync()
        for (const write of batch) write.resolve()
      } catch (cause) {
        const reason =
          cause instanceof StoreError ? cause : new StoreError('The slot file cannot be written', { cause })
        for (const write of batch) write.reject(reason)
      }
    }
  }
}

function ownContext(name: string): Buffer {
  return lp('qkdkit/1 slot', 'own', name)
}

/** Gives the name of the key encryption key in use; undefined for stores that have none. */
export function kekNameOf(slots: SlotStore): (() => string) | undefined {
  return slots instanceof SlotFile ? () => slots.kekName : undefined
}
