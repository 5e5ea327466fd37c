import type { Link } from '../../interface/link.ts'
import type { LinkMarks, LinkStock } from '../../interface/link-stock.ts'
import type { Logger } from '../../interface/logger.ts'
import type { SecretKey } from '../../key/secret-key.ts'

/** A block of link key that is under no lease. */
interface FreshBlock {
  readonly secret: SecretKey
  readonly sinceMs: number
  /** Set once it lies in the stock too, or is on its way there. */
  stored: Promise<unknown> | undefined
}

/** A block of link key that left the stock, durably, and lives in this process alone. */
export interface LooseBlock {
  readonly number: bigint
  readonly secret: SecretKey
}

/** Where the blocks come from, and where they wait. */
export interface FreshKeyOptions {
  readonly link: Link
  readonly stock: LinkStock
  /** Most blocks to keep; then none is taken from the link, which stops. */
  readonly maxBlocks: number
  /** After so long in memory a block is written to the stock, in milliseconds. */
  readonly settleMs: number
  readonly logger: Logger
  /** A block has come. */
  readonly onBlock: (number: bigint) => void
}

/**
 * The blocks of one link that nobody has reserved. Key that is used soon never touches the disk; what waits for longer is
 * kept in the stock too, and taken out of it durably before its first use, so that no crash brings a used block back.
 */
export class FreshKey {
  readonly #options: FreshKeyOptions
  readonly #blocks = new Map<bigint, FreshBlock>()
  readonly #closing = new AbortController()
  #marks: LinkMarks = { commits: 0, heardCommits: 0, floor: 0n }
  #heard = 0
  #taken = 0n
  #room: (() => void) | undefined
  #timer: NodeJS.Timeout | undefined
  #running: Promise<void> = Promise.resolve()

  constructor(options: FreshKeyOptions) {
    this.#options = options
  }

  /** Durable writes of this pool so far: the other end remembers it. */
  get commits(): number {
    return this.#marks.commits
  }

  /** The highest number of writes heard from the other end. */
  get heard(): number {
    return this.#heard
  }

  /** No block at or below it comes any more. */
  get taken(): bigint {
    return this.#taken
  }

  get size(): number {
    return this.#blocks.size
  }

  get sizeBytes(): number {
    return this.#blocks.size * this.#options.link.status().blockSizeBytes
  }

  has(number: bigint): boolean {
    return this.#blocks.has(number)
  }

  /** Ascending. */
  numbers(): bigint[] {
    return [...this.#blocks.keys()]
  }

  /** Reads what the stock has, then takes blocks from the link as they come. */
  async open(): Promise<void> {
    const { link, stock, settleMs, maxBlocks } = this.#options
    const { marks, numbers } = await stock.snapshot(link.linkId)
    this.#marks = marks
    this.#heard = marks.heardCommits
    this.#taken = marks.floor
    for (const number of numbers.slice(-maxBlocks)) {
      const secret = await stock.read(link.linkId, number).catch(() => undefined)
      // Written in part when the process ended: it was never used, and is not now.
      if (secret === undefined) {
        await this.#commit([{ kind: 'remove', number }])
        continue
      }
      this.#blocks.set(number, { secret, sinceMs: performance.now(), stored: Promise.resolve() })
      if (number > this.#taken) this.#taken = number
    }
    this.#timer = setInterval(() => this.#settle(), settleMs).unref()
    this.#running = this.#intake()
  }

  /** Those that have been here for so long. */
  olderThan(ageMs: number): bigint[] {
    const nowMs = performance.now()
    return [...this.#blocks].filter(([, { sinceMs }]) => nowMs - sinceMs > ageMs).map(([number]) => number)
  }

  hear(commits: number): void {
    if (commits > this.#heard) this.#heard = commits
  }

  /**
   * Takes blocks out, durably, before it resolves. Those that are not there are left out.
   * @throws {StoreError} the stock cannot be written; the blocks are gone
   */
  async release(numbers: readonly bigint[]): Promise<LooseBlock[]> {
    const loose: LooseBlock[] = []
    const removed: bigint[] = []
    const writes: Promise<unknown>[] = []
    for (const number of numbers) {
      const block = this.#blocks.get(number)
      if (block === undefined) continue
      this.#blocks.delete(number)
      loose.push({ number, secret: block.secret })
      if (block.stored === undefined) continue
      removed.push(number)
      writes.push(block.stored)
    }
    this.#room?.()
    if (removed.length === 0) return loose
    try {
      await Promise.allSettled(writes)
      await this.#commit(removed.map(number => ({ kind: 'remove', number })))
    } catch (error) {
      for (const { secret } of loose) secret.wipe()
      throw error
    }
    return loose
  }

  /** Destroys blocks, durably. */
  async discard(numbers: readonly bigint[]): Promise<number> {
    const loose = await this.release(numbers)
    for (const { secret } of loose) secret.wipe()
    return loose.length
  }

  /** Counts on above `commits`, so that an end that was put back is not taken for it for ever. */
  async advance(commits: number): Promise<void> {
    await this.#commit([{ kind: 'advance', commits }])
  }

  async close(): Promise<void> {
    clearInterval(this.#timer)
    this.#closing.abort()
    this.#room?.()
    await this.#running
    this.#settle(0)
    await Promise.allSettled([...this.#blocks.values()].map(({ stored }) => stored))
    for (const { secret } of this.#blocks.values()) secret.wipe()
    this.#blocks.clear()
  }

  async #intake(): Promise<void> {
    const { link, maxBlocks, onBlock } = this.#options
    const { signal } = this.#closing
    try {
      while (!signal.aborted) {
        if (this.#blocks.size >= maxBlocks) await this.#roomFor()
        const { number, secret } = await link.nextBlock({ signal, after: this.#taken })
        this.#taken = number
        this.#blocks.set(number, { secret, sinceMs: performance.now(), stored: undefined })
        onBlock(number)
      }
    } catch (error) {
      // The link or this pool was closed: what is there may still be used.
      if (!signal.aborted) this.#options.logger.info({ linkId: link.linkId, error: String(error) }, 'No more link key')
    }
  }

  /** Resolves when a block has gone, or this is closed. */
  async #roomFor(): Promise<void> {
    await new Promise<void>(resolve => {
      this.#room = resolve
    })
    this.#room = undefined
  }

  #settle(minAgeMs = this.#options.settleMs): void {
    const nowMs = performance.now()
    const idle = [...this.#blocks].filter(
      ([, block]) => block.stored === undefined && nowMs - block.sinceMs >= minAgeMs,
    )
    if (idle.length === 0) return
    const written = this.#commit([
      ...idle.map(([number, { secret }]) => ({ kind: 'put' as const, number, secret })),
      { kind: 'floor', number: idle.at(-1)![0] },
    ])
    for (const [, block] of idle) block.stored = written
    written.catch(error => this.#options.logger.warn({ error: String(error) }, 'Link key could not be stored'))
  }

  async #commit(changes: Parameters<LinkStock['commit']>[1]): Promise<void> {
    const { link, stock } = this.#options
    this.#marks = await stock.commit(link.linkId, [...changes, { kind: 'hear', commits: this.#heard }])
  }
}
