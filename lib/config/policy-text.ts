import { isNode, LineCounter, parseDocument } from 'yaml'
import { ConfigError } from '../errors.ts'

/** Deeper nesting than any policy has. */
const MAX_DEPTH = 16

/** The value of a policy file, and where each of its fields stands. */
export interface PolicyText {
  readonly value: unknown
  /** `line:column` of the field at a JSON pointer, or of the nearest one above it that stands in the file. */
  placeOf(pointer: string): string
}

/**
 * Reads JSON or YAML 1.2, of which JSON is a part. No aliases, no tags, no member twice: a policy says what it says.
 * @throws {ConfigError} every fault of the text, each with file, line and column
 */
export function parsePolicyText(file: string, text: string): PolicyText {
  const lines = new LineCounter()
  const document = parseDocument(text, {
    lineCounter: lines,
    prettyErrors: false,
    schema: 'core',
    uniqueKeys: true,
    customTags: [],
  })
  const faults = [...document.errors, ...document.warnings].map(({ pos, message }) => ({
    place: placeAt(lines, pos[0]),
    message: message.split('\n')[0]!,
  }))
  if (faults.length === 0 && /(^|[\s[{,:-])[*&][A-Za-z0-9_-]+/m.test(text)) faults.push(...aliases(document, lines))
  if (faults.length > 0) {
    throw new ConfigError(faults.map(({ place, message }) => `${file}:${place}: ${message}`).join('\n'), {
      details: faults.map(({ place, message }) => ({ file, place, message })),
    })
  }
  const value: unknown = document.toJS({ maxAliasCount: 0 })
  if (depthOf(value) > MAX_DEPTH) throw new ConfigError(`${file}: more than ${MAX_DEPTH} levels deep`)
  return { value, placeOf: pointer => placeAt(lines, startOf(document, pointer)) }
}

function aliases(document: ReturnType<typeof parseDocument>, lines: LineCounter): { place: string; message: string }[] {
  try {
    document.toJS({ maxAliasCount: 0 })
    return []
  } catch {
    return [{ place: placeAt(lines, 0), message: 'aliases ("*name") are not taken; write the value out' }]
  }
}

function placeAt(lines: LineCounter, offset: number): string {
  const { line, col } = lines.linePos(offset)
  return `${Math.max(line, 1)}:${Math.max(col, 1)}`
}

function startOf(document: ReturnType<typeof parseDocument>, pointer: string): number {
  const steps = pointer.split('/').filter(step => step !== '')
  for (let count = steps.length; count > 0; count -= 1) {
    const path = steps.slice(0, count).map(step => {
      const name = step.replaceAll('~1', '/').replaceAll('~0', '~')
      return /^\d+$/.test(name) ? Number(name) : name
    })
    const node = document.getIn(path, true)
    if (isNode(node) && node.range) return node.range[0]
  }
  return 0
}

function depthOf(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0
  let deepest = 0
  for (const member of Object.values(value)) deepest = Math.max(deepest, depthOf(member))
  return deepest + 1
}
