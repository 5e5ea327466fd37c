/** Spans in which a key's end is counted: fine enough for a cap, and bounded for a pair that never rests. */
const SPANS = 32

/**
 * Keys that were issued for each pair of SAEs and may still be fetched, as the issuer sees it: issued, and not yet older than
 * a lease and a lifetime. The peer never says what was fetched.
 */
export class UnfetchedKeys {
  readonly #spanMs: number
  /** By pair: how many keys end in which span, oldest first. */
  readonly #pairs = new Map<string, { span: number; keys: number }[]>()
  /** By pair: keys of requests that are being served, which may be issued yet. */
  readonly #held = new Map<string, number>()

  /** `lifeMs` is how long a key can be fetched at most, in milliseconds. */
  constructor({ lifeMs }: { lifeMs: number }) {
    this.#spanMs = Math.max(1, lifeMs / SPANS)
  }

  /** Keys of `pair` that may still be fetched, and those that it may be given any moment: requests at the same time share one cap. */
  count(pair: string, nowMs: number): number {
    return this.#issued(pair, nowMs) + (this.#held.get(pair) ?? 0)
  }

  /** A request of `pair` begins to be served; `letGo` once it has ended. */
  hold(pair: string, keys: number): void {
    this.#held.set(pair, (this.#held.get(pair) ?? 0) + keys)
  }

  letGo(pair: string, keys: number): void {
    const left = (this.#held.get(pair) ?? 0) - keys
    if (left > 0) this.#held.set(pair, left)
    else this.#held.delete(pair)
  }

  #issued(pair: string, nowMs: number): number {
    const spans = this.#pairs.get(pair)
    if (spans === undefined) return 0
    const oldest = Math.floor(nowMs / this.#spanMs) - SPANS
    while (spans.length > 0 && spans[0]!.span < oldest) spans.shift()
    if (spans.length === 0) this.#pairs.delete(pair)
    let sum = 0
    for (const { keys } of spans) sum += keys
    return sum
  }

  add(pair: string, keys: number, nowMs: number): void {
    const span = Math.floor(nowMs / this.#spanMs)
    const spans = this.#pairs.get(pair) ?? []
    const last = spans.at(-1)
    if (last?.span === span) last.keys += keys
    else spans.push({ span, keys })
    this.#pairs.set(pair, spans)
    if (spans.length > SPANS + 2) this.#issued(pair, nowMs)
  }

  /** Pairs that it remembers. */
  get size(): number {
    return this.#pairs.size
  }

  /** Forgets pairs whose keys have all ended. */
  sweep(nowMs: number): void {
    for (const pair of [...this.#pairs.keys()]) this.#issued(pair, nowMs)
  }
}
