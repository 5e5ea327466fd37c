import { posix } from 'node:path'
import { SyntaxKind } from 'typescript/unstable/ast'
import { moduleReferences, packageOf, resolveReference } from './module-references.ts'
import type { Room } from './rooms.ts'
import { type Source, type Token, tokenize } from './source-tokens.ts'

/** One breach of a rule, `path:line: what`. */
export type Fault = string

const fault = (source: Source, line: number, what: string): Fault => `${source.path}:${line}: ${what}`

/** The room that `path` lies in: the longest that matches; undefined for none. */
export function roomOf(path: string, rooms: readonly Room[]): Room | undefined {
  const matching = rooms.filter(({ room }) => lies(path, room))
  return matching.sort((a, b) => b.room.length - a.room.length)[0]
}

/** Imports lead only to rooms that the table allows, and every file lies in a room. */
export function importFaults(source: Source, rooms: readonly Room[]): Fault[] {
  const own = roomOf(source.path, rooms)
  if (own === undefined) return [fault(source, 1, 'lies in no room of the table')]
  return moduleReferences(source).flatMap(({ specifier, line }) => {
    if (specifier === undefined) {
      return own.loads === 'by name' ? [] : [fault(source, line, 'imports a module by a computed name')]
    }
    const target = resolveReference(source, specifier)
    if (target === undefined) return []
    if (roomOf(target, rooms) === own || own.sees.some(seen => lies(target, seen))) return []
    return [fault(source, line, `${own.room} may not import ${target}`)]
  })
}

/** Relative imports say the file's whole name. */
export function endingFaults(source: Source): Fault[] {
  return moduleReferences(source)
    .filter(({ specifier }) => specifier?.startsWith('.') && !/\.(ts|mjs|json)$/.test(specifier))
    .map(({ specifier, line }) => fault(source, line, `relative import "${specifier}" does not end in .ts`))
}

/** What loses timeouts on Node 20 is used in one place only, which mends it. */
export function signalFaults(source: Source): Fault[] {
  if (source.path === 'lib/util/deadline.ts') return []
  const tokens = tokenize(source.text)
  return tokens.flatMap((token, at) => {
    const said = tokens
      .slice(at, at + 3)
      .map(({ text }) => text)
      .join('')
    return said === 'AbortSignal.any'
      ? [fault(source, token.line, 'AbortSignal.any loses timeouts: use eitherSignal')]
      : []
  })
}

/** Each outside package has one importing file, at its door. */
export function packageFaults(
  sources: readonly Source[],
  doors: Readonly<Record<string, string>>,
  commandPackages: readonly string[],
): Fault[] {
  const importers = new Map<string, Set<string>>()
  const faults: Fault[] = []
  for (const source of sources) {
    for (const { specifier, line } of moduleReferences(source)) {
      const name = specifier === undefined ? undefined : packageOf(specifier)
      if (name === undefined) continue
      if (commandPackages.includes(name) && source.path.startsWith('bin/')) continue
      const door = doors[name]
      if (door === undefined || !lies(source.path, door)) {
        faults.push(fault(source, line, `package ${name} is imported outside its door ${door ?? '(it has none)'}`))
      } else importers.set(name, (importers.get(name) ?? new Set()).add(source.path))
    }
  }
  for (const [name, files] of importers) {
    if (files.size > 1) faults.push(`package ${name} has more than one door: ${[...files].sort().join(', ')}`)
  }
  return faults
}

const processMembers = ['exit', 'argv', 'env', 'stdout', 'stderr', 'stdin', 'abort', 'exitCode', 'chdir']

/** No console and nothing of the process that belongs to a program and not to a library. */
export function worldFaults(source: Source): Fault[] {
  const faults = moduleReferences(source)
    .filter(({ specifier }) => /^(node:)?(process|console)$/.test(specifier ?? ''))
    .map(({ specifier, line }) => fault(source, line, `imports ${specifier}`))
  const tokens = tokenize(source.text)
  tokens.forEach((token, at) => {
    const member = tokens[at + 1]?.text === '.' || tokens[at + 1]?.text === '?.' ? tokens[at + 2]?.text : undefined
    if (!isGlobal(tokens, at)) return
    if (token.text === 'console') faults.push(fault(source, token.line, 'uses console'))
    if (token.text !== 'process') return
    if (member === undefined) faults.push(fault(source, token.line, 'takes process as a whole'))
    else if (processMembers.includes(member)) faults.push(fault(source, token.line, `uses process.${member}`))
  })
  return faults
}

/** True where the name at `at` is used as a global variable: not a member, a property's name or a word in a type. */
function isGlobal(tokens: readonly Token[], at: number): boolean {
  const before = tokens[at - 1]?.text
  if (before === '.' || before === '?.') return tokens[at - 2]?.text === 'globalThis'
  const [next, afterNext] = [tokens[at + 1]?.text, tokens[at + 2]?.text]
  return next !== ':' && next !== '(' && !(next === '?' && afterNext === ':')
}

/** The bytes of a key are taken only inside `lib/key`. */
export function keyBytesFaults(source: Source): Fault[] {
  if (source.path.startsWith('lib/key/')) return []
  return moduleReferences(source)
    .filter(reference => {
      const target = resolveReference(source, reference.specifier ?? '')
      const all = target === 'lib/key/secret-key.ts' && reference.names.includes('*')
      return all || reference.names.includes('bytesOf')
    })
    .map(({ line }) => fault(source, line, 'takes bytesOf outside lib/key'))
}

/** Key bytes leave a `SecretKey` only at the listed doors: each has one call, in its own file, and there is no other. */
export function doorFaults(sources: readonly Source[], doors: Readonly<Record<string, string>>): Fault[] {
  const calls = new Map<string, number>(Object.keys(doors).map(door => [door, 0]))
  const faults: Fault[] = []
  for (const source of sources) {
    const tokens = tokenize(source.text)
    tokens.forEach((token, at) => {
      if (token.value !== 'expose') return
      const before = tokens[at - 1]?.text
      if (token.kind === SyntaxKind.StringLiteral) {
        if (before === '[') faults.push(fault(source, token.line, 'reaches expose by a computed name'))
        return
      }
      const declared = source.path === 'lib/key/secret-key.ts' && before !== '.' && before !== '?.'
      if (declared) return
      const open = skipTypeArguments(tokens, at + 1)
      const door = tokens[open + 1]
      if ((before !== '.' && before !== '?.') || tokens[open]?.text !== '(') {
        faults.push(fault(source, token.line, 'takes expose without calling it at a door'))
      } else if (door?.kind !== SyntaxKind.StringLiteral || !Object.hasOwn(doors, door.value)) {
        faults.push(fault(source, token.line, `expose is called at ${door?.text}, which is no listed door`))
      } else if (doors[door.value] !== source.path) {
        faults.push(fault(source, token.line, `door ${door.value} belongs to ${doors[door.value]}`))
      } else calls.set(door.value, calls.get(door.value)! + 1)
    })
  }
  for (const [door, count] of calls) {
    if (count !== 1) faults.push(`${doors[door]}: door ${door} is called ${count} times, not once`)
  }
  return faults
}

function skipTypeArguments(tokens: readonly Token[], at: number): number {
  if (tokens[at]?.text !== '<') return at
  for (let depth = 0; at < tokens.length; at += 1) {
    if (tokens[at]!.text === '<') depth += 1
    if (tokens[at]!.text === '>') depth -= 1
    if (depth === 0) return at + 1
  }
  return at
}

/** No default exports and no enums. */
export function formFaults(source: Source): Fault[] {
  const tokens = tokenize(source.text)
  return tokens.flatMap((token, at) => {
    const next = tokens[at + 1]
    if (token.text === 'export' && (next?.text === 'default' || next?.text === '=')) {
      return [fault(source, token.line, 'has a default export')]
    }
    const isEnum = token.kind === SyntaxKind.EnumKeyword && tokens[at - 1]?.text !== '.'
    if (isEnum && next?.kind === SyntaxKind.Identifier && tokens[at + 2]?.text === '{') {
      return [fault(source, token.line, `declares the enum ${next.text}`)]
    }
    return []
  })
}

const documentedKinds = ['class', 'function', 'interface']

/** Every exported class, function and interface has a doc comment. */
export function docstringFaults(source: Source): Fault[] {
  const tokens = tokenize(source.text)
  return tokens.flatMap((token, at) => {
    if (token.text !== 'export' || token.documented) return []
    let next = at + 1
    while (['abstract', 'async', 'declare'].includes(tokens[next]?.text ?? '')) next += 1
    const kind = tokens[next]?.text ?? ''
    if (!documentedKinds.includes(kind)) return []
    const name = tokens[next + 1]?.text === '*' ? tokens[next + 2]?.text : tokens[next + 1]?.text
    return [fault(source, token.line, `exported ${kind} ${name} has no doc comment`)]
  })
}

const noNouns = /^(utils?|helpers?|misc|common|shared|types|stuff|manager|base|lib)$/

/** A file is named in kebab-case after one noun, never after nothing in particular. */
export function nameFaults(source: Source): Fault[] {
  const name = posix.basename(source.path).replace(/(\.test|\.d)?\.(ts|mjs|js)$/, '')
  if (!/^[a-z0-9]+(-[a-z0-9]+)*$/.test(name)) return [fault(source, 1, 'its name is not kebab-case')]
  return noNouns.test(name) ? [fault(source, 1, 'its name says nothing')] : []
}

function lies(path: string, room: string): boolean {
  return room.endsWith('/') ? path.startsWith(room) : path === room
}
