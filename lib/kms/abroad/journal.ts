import { createHash } from 'node:crypto'
import { StoreError } from '../../errors.ts'
import type { AbroadKeyIds } from '../../interface/abroad.ts'
import type { PoolStore } from '../../interface/pool-store.ts'

/** Stands beside the pools in the store, and has notes alone. */
const POOL_ID = 'abroad'
const MAX_ENTRIES = 10_000

/** A handover that the other domain may have keys of, and that nobody was told has come to an end. */
export interface OpenHandover extends AbroadKeyIds {
  readonly kmeId: string
}

/**
 * Handovers across the border whose end is not known yet, durably and without key bytes: after a crash their keys are taken
 * back, because nobody at this side was given them.
 */
export class AbroadJournal {
  readonly #store: PoolStore
  readonly #open: Map<string, OpenHandover>

  private constructor(store: PoolStore, open: Map<string, OpenHandover>) {
    this.#store = store
    this.#open = open
  }

  /** @throws {StoreError} the store can't be read */
  static async open(store: PoolStore): Promise<AbroadJournal> {
    const { notes } = await store.snapshot(POOL_ID)
    const open = new Map<string, OpenHandover>()
    for (const [name, { value }] of notes)
      open.set(name, JSON.parse(Buffer.from(value).toString('utf8')) as OpenHandover)
    return new AbroadJournal(store, open)
  }

  /** What is open now. */
  get handovers(): readonly OpenHandover[] {
    return [...this.#open.values()]
  }

  /**
   * Writes that keys are about to leave; durable when it resolves.
   * @throws {StoreError} it is not: they must not leave
   */
  async begin(handover: OpenHandover): Promise<void> {
    if (this.#open.size >= MAX_ENTRIES) throw new StoreError(`${MAX_ENTRIES} handovers have no end; no more are begun`)
    const name = nameOf(handover)
    const value = Buffer.from(JSON.stringify(handover))
    const result = await this.#store.commit(POOL_ID, [{ kind: 'note', name, from: 0, value }])
    if (!result.ok) throw new StoreError(`A handover to another domain cannot be noted: ${result.refusal}`)
    this.#open.set(name, handover)
  }

  /** Writes that it has come to an end: the keys are there, or surely gone. */
  async end(handover: OpenHandover): Promise<void> {
    const name = nameOf(handover)
    if (!this.#open.delete(name)) return
    await this.#store.commit(POOL_ID, [{ kind: 'note', name, from: 1, value: undefined }])
  }
}

/** Key_IDs are not written as they are: who reads the store needs none. */
function nameOf({ kmeId, keyIds }: OpenHandover): string {
  return `handover ${createHash('sha256')
    .update([kmeId, ...keyIds].join('\n'))
    .digest('hex')}`
}
