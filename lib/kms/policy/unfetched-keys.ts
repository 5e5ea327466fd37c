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

  /** `lifeMs` is how long a key can be fetched at most, in milliseconds. */
  constructor({ lifeMs }: { lifeMs: number }) {
    this.#spanMs = Math.max(1, lifeMs / SPANS)
  }

  /** Keys of `pair` that may still be fetched. */
  count(pair: string, nowMs: number): number {
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
    if (spans.length > SPANS + 2) this.count(pair, nowMs)
  }

  /** Pairs that it remembers. */
  get size(): number {
    return this.#pairs.size
  }

  /** Forgets pairs whose keys have all ended. */
  sweep(nowMs: number): void {
    for (const pair of [...this.#pairs.keys()]) this.count(pair, nowMs)
  }
}
