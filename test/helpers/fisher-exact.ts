/**
 * Two-sided p-value of Fisher's exact test: how likely two samples of the same kind differ at least as much as
 * `hits1` of `runs1` and `hits2` of `runs2` do.
 */
export function fisherExact(hits1: number, runs1: number, hits2: number, runs2: number): number {
  const hits = hits1 + hits2
  const runs = runs1 + runs2
  const factorials = logFactorials(runs)
  const choose = (n: number, k: number) => factorials[n]! - factorials[k]! - factorials[n - k]!
  const log = (x: number) => choose(runs1, x) + choose(runs2, hits - x) - choose(runs, hits)
  const seen = log(hits1)
  let total = 0
  for (let x = Math.max(0, hits - runs2); x <= Math.min(hits, runs1); x++) {
    if (log(x) <= seen + 1e-9) total += Math.exp(log(x))
  }
  return Math.min(total, 1)
}

/** Which of the p-values are significant at `level` together, by Holm's step-down correction. */
export function holm(pValues: readonly number[], level: number): boolean[] {
  const order = pValues.map((_, at) => at).sort((a, b) => pValues[a]! - pValues[b]!)
  const rejected = pValues.map(() => false)
  for (const [rank, at] of order.entries()) {
    if (pValues[at]! > level / (pValues.length - rank)) break
    rejected[at] = true
  }
  return rejected
}

let known = new Float64Array(1)

function logFactorials(upTo: number): Float64Array {
  if (known.length <= upTo) {
    known = new Float64Array(upTo + 1)
    for (let i = 1; i <= upTo; i++) known[i] = known[i - 1]! + Math.log(i)
  }
  return known
}
