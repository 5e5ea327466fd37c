/** The name that `written` was most likely meant to be: at most two letters off, or a third of them; undefined for none. */
export function nearestName(written: string, names: Iterable<string>): string | undefined {
  let nearest: string | undefined
  let limit = Math.max(2, Math.floor(written.length / 3)) + 1
  for (const name of names) {
    const distance = editDistance(written.toLowerCase(), name.toLowerCase(), limit)
    if (distance >= limit) continue
    nearest = name
    limit = distance
  }
  return nearest
}

/** How many letters must be added, left out or changed to make `b` of `a`; `limit` where it is that much or more. */
function editDistance(a: string, b: string, limit: number): number {
  if (Math.abs(a.length - b.length) >= limit) return limit
  let row = Array.from({ length: b.length + 1 }, (_, at) => at)
  for (let i = 1; i <= a.length; i += 1) {
    const next = [i]
    for (let j = 1; j <= b.length; j += 1) {
      const changed = row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)
      next.push(Math.min(changed, row[j]! + 1, next[j - 1]! + 1))
    }
    row = next
  }
  return Math.min(row[b.length]!, limit)
}
