/**
 * The mean that `successes` of `trials` may have come from: the highest and the lowest one under which the seen number or
 * a more extreme one has a probability of `epsilon`, by Hoeffding's inequality in its sharp form (J. Am. Stat. Assoc. 58,
 * 13 (1963), theorem 1; theorem 4 for draws without replacement). Trials must be independent, not alike; each bound alone
 * fails with a probability of at most `epsilon`. The well-known √(n ln(1/ε)/2) is a weakening of it.
 */
export function meanBounds(
  successes: number,
  trials: number,
  epsilon: number,
): { readonly lower: number; readonly upper: number } {
  if (trials <= 0) return { lower: 0, upper: 0 }
  const share = Math.min(successes / trials, 1)
  const budget = Math.log(1 / epsilon) / trials
  return {
    lower: trials * edge(share, budget, 0),
    upper: trials * edge(share, budget, 1),
  }
}

/** The share between `seen` and `end` whose divergence from the seen one is `budget`. */
function edge(seen: number, budget: number, end: 0 | 1): number {
  if (seen === end) return end
  let [inside, outside] = [seen, end as number]
  for (let i = 0; i < 60; i++) {
    const middle = (inside + outside) / 2
    if (divergence(seen, middle) > budget) outside = middle
    else inside = middle
  }
  // The side that is surely not too tight.
  return outside
}

/** Relative entropy of two coins, in nats. */
function divergence(seen: number, share: number): number {
  const part = (a: number, b: number) => (a === 0 ? 0 : a * Math.log(a / b))
  return part(seen, share) + part(1 - seen, 1 - share)
}
