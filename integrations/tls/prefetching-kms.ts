import {
  type AbortOptions,
  abortable,
  ClosedError,
  type GetKeyOptions,
  type Key,
  type Kms,
  type KmsCallOptions,
  type KmsStatus,
  requireInteger,
} from '../../lib/index.ts'

/** Kinds of key (peer, size, level) that are kept at a time; of further ones each key is drawn when it is asked for. */
const MAX_SHELVES = 64

/** How many keys a client draws ahead of need, and for how long. */
export interface PrefetchOptions {
  /** Keys kept for each peer; 1 to 32. As many are lost where no connection follows. */
  readonly keys: number
  /**
   * How long each may wait for its connection before it is wiped, in milliseconds; 1 to 3600000. Choose it well below the
   * lifetime of issued keys at the KMS (`keys.lifetimeMs` of a site), after which the server's KMS would not give it out.
   */
  readonly maxAgeMs: number
}

/** A Kms whose `getKey` answers from keys drawn ahead, where it has some. */
export interface PrefetchingKms extends Kms {
  /** Wipes what is held; keys that are being drawn are wiped when they come. */
  clear(): void
}

/**
 * `kms` with a few keys for each peer drawn ahead. The first request for a peer is answered by the KMS; in its wake `keys`
 * more are drawn in one request, and again whenever one was taken. Keys nobody took are wiped after `maxAgeMs` and not
 * replaced before the next request. Closing it wipes what is held and leaves `kms` open.
 * @throws {InvalidArgumentError} an option is out of range
 */
export function createPrefetchingKms(kms: Kms, options: PrefetchOptions): PrefetchingKms {
  return new ShelvedKms(kms, {
    keys: requireInteger('prefetch.keys', options.keys, { min: 1, max: 32 }),
    maxAgeMs: requireInteger('prefetch.maxAgeMs', options.maxAgeMs, { min: 1, max: 3_600_000 }),
  })
}

class ShelvedKms implements PrefetchingKms {
  readonly #kms: Kms
  readonly #options: PrefetchOptions
  readonly #shelves = new Map<string, Shelf>()
  #closed = false

  constructor(kms: Kms, options: PrefetchOptions) {
    this.#kms = kms
    this.#options = options
  }

  get saeId(): string {
    return this.#kms.saeId
  }

  getStatus(slaveSaeId: string, options?: KmsCallOptions): Promise<KmsStatus> {
    return this.#kms.getStatus(slaveSaeId, options)
  }

  getKeyWithIds(masterSaeId: string, keyIds: readonly string[], options?: KmsCallOptions): Promise<Key[]> {
    return this.#kms.getKeyWithIds(masterSaeId, keyIds, options)
  }

  async getKey(slaveSaeId: string, options: GetKeyOptions = {}): Promise<Key[]> {
    if (this.#closed) throw new ClosedError()
    const { sizeBits, level, number = 1, signal, timeoutMs, ...special } = options
    signal?.throwIfAborted()
    const shelf =
      number === 1 && Object.keys(special).length === 0 ? this.#shelf(slaveSaeId, sizeBits, level) : undefined
    const key = await shelf?.take({ signal })
    if (key !== undefined) return [key]
    // First what somebody waits for, then what is for later.
    const drawing = this.#kms.getKey(slaveSaeId, options)
    shelf?.refill()
    return await drawing
  }

  clear(): void {
    for (const shelf of this.#shelves.values()) shelf.clear()
    this.#shelves.clear()
  }

  async close(): Promise<void> {
    this.#closed = true
    this.clear()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  #shelf(slaveSaeId: string, sizeBits: GetKeyOptions['sizeBits'], level: GetKeyOptions['level']): Shelf | undefined {
    const name = JSON.stringify([slaveSaeId, sizeBits, level])
    const known = this.#shelves.get(name)
    if (known !== undefined || this.#shelves.size >= MAX_SHELVES) return known
    const shelf = new Shelf(this.#options, request => this.#kms.getKey(slaveSaeId, { sizeBits, level, ...request }))
    this.#shelves.set(name, shelf)
    return shelf
  }
}

type Draw = (request: { number: number; signal: AbortSignal }) => Promise<Key[]>

/** The keys of one kind that wait to be taken, each with the end of its time. */
class Shelf {
  readonly #options: PrefetchOptions
  readonly #draw: Draw
  readonly #waiting = new Map<Key, { readonly timer: NodeJS.Timeout; readonly untilMs: number }>()
  readonly #over = new AbortController()
  #drawing: Promise<void> | undefined

  constructor(options: PrefetchOptions, draw: Draw) {
    this.#options = options
    this.#draw = draw
  }

  /** The oldest key there is, waiting for what is being drawn; undefined for none. Sees to it that another comes. */
  async take({ signal }: AbortOptions): Promise<Key | undefined> {
    if (this.#waiting.size === 0 && this.#drawing !== undefined) await abortable(this.#drawing, { signal })
    const key = this.#oldest()
    if (key !== undefined) this.refill()
    return key
  }

  clear(): void {
    this.#over.abort(new ClosedError())
    for (const key of this.#waiting.keys()) this.#drop(key)
  }

  /** Draws all that is missing, in one request at a time. */
  refill(): void {
    const { signal } = this.#over
    const number = this.#options.keys - this.#waiting.size
    if (this.#drawing !== undefined || number <= 0 || signal.aborted) return
    this.#drawing = this.#draw({ number, signal })
      .then(
        keys => {
          for (const key of keys) this.#put(key)
        },
        // Whoever needs a key asks for it alone and hears what is wrong.
        () => {},
      )
      .finally(() => {
        this.#drawing = undefined
      })
  }

  #oldest(): Key | undefined {
    for (const [key, { timer, untilMs }] of this.#waiting) {
      // A timer may be late.
      if (performance.now() >= untilMs) {
        this.#drop(key)
        continue
      }
      clearTimeout(timer)
      this.#waiting.delete(key)
      return key
    }
    return undefined
  }

  #put(key: Key): void {
    const { maxAgeMs } = this.#options
    if (this.#over.signal.aborted) {
      key.secret.wipe()
      return
    }
    const timer = setTimeout(() => this.#drop(key), maxAgeMs).unref()
    this.#waiting.set(key, { timer, untilMs: performance.now() + maxAgeMs })
  }

  #drop(key: Key): void {
    clearTimeout(this.#waiting.get(key)?.timer)
    this.#waiting.delete(key)
    key.secret.wipe()
  }
}
