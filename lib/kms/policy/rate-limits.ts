import { PoolExhaustedError } from '../../errors.ts'
import type { PolicyRate } from '../../interface/policy.ts'
import { CELL_BYTES } from '../../key/cells.ts'
import { TokenBucket } from './token-bucket.ts'

const CELL_BITS = CELL_BYTES * 8
/** Full buckets are let go when there are more than this: they would be made the same again. */
const MAX_IDLE_BUCKETS = 10_000

/** A limit that a request falls under. */
export interface RateLimit {
  /** What the bucket is kept under: `SAE alice under rule x`, `group backup`. Shown in refusals. */
  readonly name: string
  readonly rate: PolicyRate
}

/** The token buckets of a policy, one for each name. They outlive a reload, unless their rate changed. */
export class RateLimits {
  readonly #buckets = new Map<string, { bucket: TokenBucket; rate: PolicyRate }>()
  readonly #monotonicMs: () => number

  constructor({ monotonicMs }: { monotonicMs: () => number }) {
    this.#monotonicMs = monotonicMs
  }

  /**
   * Charges every limit with `cells`, or none.
   * @throws {PoolExhaustedError} one of them has too little now; `retryAfterMs` says when it may have enough
   */
  charge(limits: readonly RateLimit[], cells: number): void {
    const nowMs = this.#monotonicMs()
    const bits = cells * CELL_BITS
    const taken: TokenBucket[] = []
    for (const limit of limits) {
      const bucket = this.#bucketFor(limit, nowMs)
      if (bucket.take(bits, nowMs)) {
        taken.push(bucket)
        continue
      }
      for (const other of taken) other.giveBack(bits)
      throw this.#refusal(limit, bucket, bits, nowMs)
    }
  }

  /** Gives back what a request was charged and did not burn. */
  refund(limits: readonly RateLimit[], cells: number): void {
    for (const { name } of limits) this.#buckets.get(name)?.bucket.giveBack(cells * CELL_BITS)
  }

  #refusal({ name, rate }: RateLimit, bucket: TokenBucket, bits: number, nowMs: number): PoolExhaustedError {
    const details = [{ limit: 'rate', of: name, bits_per_second: rate.bitsPerSecond, bits_asked: bits }]
    if (bits > bucket.burst) {
      const message = `The request burns ${bits} bits; ${name} may burn ${bucket.burst} at once`
      return new PoolExhaustedError(message, { details })
    }
    return new PoolExhaustedError(`The rate limit of ${name} is reached`, {
      details,
      retryAfterMs: Math.max(1, bucket.waitMs(bits, nowMs)),
    })
  }

  #bucketFor({ name, rate }: RateLimit, nowMs: number): TokenBucket {
    const known = this.#buckets.get(name)
    if (known !== undefined && sameRate(known.rate, rate)) return known.bucket
    if (this.#buckets.size >= MAX_IDLE_BUCKETS) this.#forgetFull(nowMs)
    const bucket = new TokenBucket({ perSecond: rate.bitsPerSecond, burst: burstOf(rate), nowMs })
    this.#buckets.set(name, { bucket, rate })
    return bucket
  }

  #forgetFull(nowMs: number): void {
    for (const [name, { bucket }] of this.#buckets) if (bucket.isFull(nowMs)) this.#buckets.delete(name)
  }
}

/** What may be burned at once, in bits. */
export function burstOf({ bitsPerSecond, burstBits = Math.max(CELL_BITS, bitsPerSecond) }: PolicyRate): number {
  return burstBits
}

function sameRate(a: PolicyRate, b: PolicyRate): boolean {
  return a.bitsPerSecond === b.bitsPerSecond && a.burstBits === b.burstBits
}
