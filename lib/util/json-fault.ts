/** Where a text stops being JSON. Line and column count from 1. */
export interface JsonFault {
  readonly line: number
  readonly column: number
  readonly message: string
}

/** Deeper nesting than any configuration or request has; keeps the scan's own stack small. */
const MAX_DEPTH = 64

class Fault extends Error {
  readonly at: number

  constructor(at: number, message: string) {
    super(message)
    this.at = at
  }
}

/**
 * The first fault of a JSON text, or undefined. V8's own errors give a position in some Node versions and for some
 * faults only, and say nothing of members that stand twice.
 */
export function findJsonFault(text: string): JsonFault | undefined {
  try {
    const end = skipSpace(text, scanValue(text, skipSpace(text, 0), 0))
    if (end < text.length) throw new Fault(end, `${found(text, end)} after the end of the document`)
    return undefined
  } catch (error) {
    if (!(error instanceof Fault)) throw error
    const before = text.slice(0, error.at)
    const line = before.split('\n').length
    return { line, column: error.at - before.lastIndexOf('\n'), message: error.message }
  }
}

function skipSpace(text: string, at: number): number {
  while (at < text.length && ' \t\r\n'.includes(text[at]!)) at += 1
  return at
}

function found(text: string, at: number): string {
  if (at >= text.length) return 'the text ends'
  return `found ${JSON.stringify(String.fromCodePoint(text.codePointAt(at)!))}`
}

/** Each scan returns the place behind what it read. */
function scanValue(text: string, at: number, depth: number): number {
  if (depth > MAX_DEPTH) throw new Fault(at, `more than ${MAX_DEPTH} levels deep`)
  if (text[at] === '{') return scanMembers(text, at, depth)
  if (text[at] === '[') return scanItems(text, at, depth)
  if (text[at] === '"') return scanString(text, at)
  const literal = /(?:true|false|null|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?)/y
  literal.lastIndex = at
  const match = literal.exec(text)
  if (match === null) throw new Fault(at, `a value is missing, ${found(text, at)}${hint(text, at)}`)
  return at + match[0].length
}

function hint(text: string, at: number): string {
  if (text[at] === "'") return '; strings stand in double quotes'
  if (text[at] === '/' || text[at] === '#') return '; JSON has no comments'
  if (text[at] === '}' || text[at] === ']') return '; remove the comma before it'
  return ''
}

function scanItems(text: string, start: number, depth: number): number {
  let at = skipSpace(text, start + 1)
  if (text[at] === ']') return at + 1
  for (;;) {
    at = skipSpace(text, scanValue(text, at, depth + 1))
    if (text[at] === ']') return at + 1
    if (text[at] !== ',') throw new Fault(at, `"," or "]" is missing, ${found(text, at)}`)
    at = skipSpace(text, at + 1)
  }
}

function scanMembers(text: string, start: number, depth: number): number {
  const names = new Set<string>()
  let at = skipSpace(text, start + 1)
  if (text[at] === '}') return at + 1
  for (;;) {
    if (text[at] !== '"') throw new Fault(at, `a name in double quotes is missing, ${found(text, at)}${hint(text, at)}`)
    const end = scanString(text, at)
    const name = JSON.parse(text.slice(at, end)) as string
    if (names.has(name)) throw new Fault(at, `field "${name}" stands twice; remove one`)
    names.add(name)
    at = skipSpace(text, end)
    if (text[at] !== ':') throw new Fault(at, `":" is missing, ${found(text, at)}`)
    at = skipSpace(text, scanValue(text, skipSpace(text, at + 1), depth + 1))
    if (text[at] === '}') return at + 1
    if (text[at] !== ',') throw new Fault(at, `"," or "}" is missing, ${found(text, at)}`)
    at = skipSpace(text, at + 1)
  }
}

function scanString(text: string, start: number): number {
  let at = start + 1
  for (;;) {
    const char = text[at]
    if (char === '"') return at + 1
    if (char === undefined || char < ' ') throw new Fault(at, 'a string has no closing quote on its line')
    const escaped = char === '\\' ? /\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})/y : undefined
    if (escaped === undefined) at += 1
    else {
      escaped.lastIndex = at
      const match = escaped.exec(text)
      if (match === null) throw new Fault(at, 'not an escape that JSON knows; a backslash is written \\\\')
      at += match[0].length
    }
  }
}
