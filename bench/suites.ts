import { readdirSync } from 'node:fs'

/** Files of this folder that are no suites. */
const machinery = ['run', 'report', 'soak', 'suites']

/** The names of the suites in `folder`: its modules but the machinery's, sorted. */
export function suiteNames(folder: URL): string[] {
  return readdirSync(folder, { withFileTypes: true })
    .filter(entry => entry.isFile() && entry.name.endsWith('.ts'))
    .map(entry => entry.name.slice(0, -'.ts'.length))
    .filter(name => !machinery.includes(name))
    .sort()
}

/** What is wrong with the names asked for, in words and with the list; undefined for nothing. */
export function unknownSuites(asked: readonly string[], known: readonly string[]): string | undefined {
  const unknown = asked.filter(name => !known.includes(name))
  if (unknown.length === 0) return undefined
  return `Unknown: ${unknown.join(', ')}. There ${known.length === 1 ? 'is' : 'are'}: ${known.join(', ') || 'none'}`
}
