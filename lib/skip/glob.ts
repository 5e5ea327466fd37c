/** True where `text` has a character that makes a pattern of it. */
export function isPattern(text: string): boolean {
  return /[*?[\\]/.test(text)
}

/**
 * Tests whole names against a pattern in the notation of POSIX shells, which SKIP takes over for system IDs: `*`, `?`,
 * `[list]` and `[!list]` with ranges, and a backslash before what stands for itself. Runs in time linear in the name for
 * each star, whatever the pattern.
 */
export function createGlob(pattern: string): (name: string) => boolean {
  const steps = parse([...pattern])
  return name => matches(steps, [...name])
}

/** One place of a pattern: any number of characters, or one that passes a test. */
type Step = '*' | ((character: string) => boolean)

function parse(pattern: readonly string[]): Step[] {
  const steps: Step[] = []
  for (let at = 0; at < pattern.length; at += 1) {
    const character = pattern[at]!
    if (character === '*') steps.push('*')
    else if (character === '?') steps.push(() => true)
    else if (character === '[') {
      // A bracket right after the opening one stands for itself, so a list ends at the next one.
      const first = at + (pattern[at + 1] === '!' ? 2 : 1)
      const end = pattern.indexOf(']', first + 1)
      if (end === -1) steps.push(found => found === '[')
      else {
        steps.push(listOf(pattern.slice(first, end), { negated: first === at + 2 }))
        at = end
      }
    } else {
      if (character === '\\' && at + 1 < pattern.length) at += 1
      const literal = pattern[at]!
      steps.push(found => found === literal)
    }
  }
  return steps
}

function listOf(list: readonly string[], { negated }: { negated: boolean }): (character: string) => boolean {
  const ranges: [from: string, to: string][] = []
  for (let at = 0; at < list.length; at += 1) {
    const isRange = list[at + 1] === '-' && at + 2 < list.length
    ranges.push([list[at]!, isRange ? list[at + 2]! : list[at]!])
    if (isRange) at += 2
  }
  return found => ranges.some(([from, to]) => from <= found && found <= to) !== negated
}

/** Goes back to the last star alone: what an earlier one swallowed never needs to change. */
function matches(steps: readonly Step[], name: readonly string[]): boolean {
  let step = 0
  let star = -1
  let resume = 0
  for (let at = 0; at < name.length; ) {
    const test = steps[step]
    if (test === '*') {
      star = step
      resume = at
      step += 1
    } else if (test?.(name[at]!)) {
      at += 1
      step += 1
    } else if (star !== -1) {
      resume += 1
      at = resume
      step = star + 1
    } else return false
  }
  return steps.slice(step).every(left => left === '*')
}
