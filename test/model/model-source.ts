import { readdirSync, readFileSync } from 'node:fs'

const folder = new URL('./', import.meta.url)
const MOVE = /\bmove\(s, (\d+), (\w+), s_(\w+), s_(\w+)\).*? \/\* (.+?) \*\/$/
const SENT = /\b(?:send\(s|reply\(p|hand\(s), m_(\w+)/

/** One place in the model where a block goes by a row of the table. */
export interface ModelMove {
  readonly row: number
  readonly role: string
  readonly from: string
  readonly to: string
  /** Message on the same line. */
  readonly sends: string | undefined
  readonly event: string
}

/** What the model's text says about names. */
export interface ModelSource {
  readonly states: readonly string[]
  readonly moves: readonly ModelMove[]
  /** Rows that it says it leaves out. */
  readonly leftOut: readonly number[]
  readonly messages: ReadonlySet<string>
  /** Rules that can be left out: `NO_…`. */
  readonly rules: ReadonlySet<string>
}

/** Reads all files of the model. */
export function readModel(): ModelSource {
  const files = readdirSync(folder).filter(name => name.endsWith('.pml'))
  const text = files.map(name => readFileSync(new URL(name, folder), 'utf8')).join('\n')
  const uses = text.split('\n').filter(line => /\bmove\(s, \d/.test(line))
  return {
    states: names(text, /mtype:state = \{(.+?)\}/g)[0]!
      .split(',')
      .map(name => name.trim().replace(/^s_/, '')),
    moves: uses.map(readMove),
    leftOut: names(text, /left out: row (\d+)/g).map(Number),
    messages: new Set(names(text, /#define m_(\w+)/g)),
    rules: new Set(names(text, /\b(NO_R\w+)\b/g)),
  }
}

function readMove(line: string): ModelMove {
  const found = MOVE.exec(line.trimEnd())
  if (found === null) throw new Error(`A move of the model that does not name its event: ${line.trim()}`)
  const [, row, role, from, to, event] = found
  return { row: Number(row), role: role!, from: from!, to: to!, sends: SENT.exec(line)?.[1], event: event! }
}

function names(text: string, pattern: RegExp): string[] {
  return [...text.matchAll(pattern)].map(([, name]) => name!)
}
