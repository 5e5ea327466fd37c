import { type AbortOptions, type MessageChannel, requireInteger } from '../../../lib/index.ts'
import { type KvnoEntry, type KvnoLookup, wipeKeys } from '../kvno-table.ts'
import { decodeSnapshot, encodeAcknowledgement, type VersionSnapshot } from './replica-wire.ts'

/** Options of `ReplicaTable`. */
export interface ReplicaTableOptions {
  /**
   * For how long this end goes on to seal under what it has while the primary can't be reached, in milliseconds, 0 to
   * 86,400,000; at most as long as the other realm keeps superseded versions. Default 60,000.
   */
  readonly maxStaleMs?: number
  /** Default the system's clock. */
  readonly now?: () => number
}

/**
 * What the agent of a replica KDC knows: all that the realm's primary agent has, for as long as it is connected. After
 * that, what it has goes on to open tickets until it ends; and `isFresh` says that there may be versions that it has not.
 */
export class ReplicaTable implements KvnoLookup, Disposable {
  readonly #maxStaleMs: number
  readonly #now: () => number
  readonly #versions = new Map<string, readonly KvnoEntry[]>()
  /** When the primary was lost; undefined while it is there. */
  #lostMs: number | undefined = Number.NEGATIVE_INFINITY

  constructor({ maxStaleMs = 60_000, now = Date.now }: ReplicaTableOptions = {}) {
    this.#maxStaleMs = requireInteger('maxStaleMs', maxStaleMs, { min: 0, max: 86_400_000 })
    this.#now = now
  }

  /** Whether the primary is connected. */
  get isFresh(): boolean {
    return this.#lostMs === undefined
  }

  current(principal: string): KvnoEntry | undefined {
    if (this.#lostMs !== undefined && this.#now() - this.#lostMs > this.#maxStaleMs) return undefined
    return this.#living(principal).find(({ state }) => state === 'current')
  }

  resolve(principal: string, kvno: number): KvnoEntry | undefined {
    return this.#living(principal).find(entry => entry.kvno === kvno)
  }

  /** Follows the primary at the other end of `channel` until either end closes it, or what it says is malformed. */
  async follow(channel: MessageChannel, options?: AbortOptions): Promise<void> {
    try {
      for (let bytes = await channel.receive(options); bytes !== undefined; bytes = await channel.receive(options)) {
        const snapshot = decodeSnapshot(bytes)
        bytes.fill(0)
        this.#take(snapshot)
        await channel.send(encodeAcknowledgement(snapshot.sequence), options)
      }
    } finally {
      this.#lostMs ??= this.#now()
      await channel.close().catch(() => {})
    }
  }

  /** Wipes every key. */
  [Symbol.dispose](): void {
    for (const versions of this.#versions.values()) for (const { keys } of versions) wipeKeys(keys)
    this.#versions.clear()
  }

  #take({ principal, versions }: VersionSnapshot): void {
    for (const { keys } of this.#versions.get(principal) ?? []) wipeKeys(keys)
    this.#versions.set(principal, versions)
    this.#lostMs = undefined
  }

  #living(principal: string): readonly KvnoEntry[] {
    const versions = this.#versions.get(principal) ?? []
    return versions.filter(({ endsMs }) => endsMs === undefined || endsMs > this.#now())
  }
}
