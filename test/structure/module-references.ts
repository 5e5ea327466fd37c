import { posix } from 'node:path'
import { SyntaxKind } from 'typescript/unstable/ast'
import { type Source, type Token, tokenize } from './source-tokens.ts'

/** One way in which a file names another module: import, export-from, `import type`, `import()`, a type `import()` or `require()`. */
export interface ModuleReference {
  /** As written; undefined where it is no literal, so that nobody can tell what is imported. */
  readonly specifier: string | undefined
  /** The names taken, as the other module calls them; empty for `import()` and for side effects, `*` for all. */
  readonly names: readonly string[]
  readonly line: number
}

/** Every module that `source` refers to. */
export function moduleReferences(source: Source): ModuleReference[] {
  const tokens = tokenize(source.text)
  const found: ModuleReference[] = []
  tokens.forEach((token, at) => {
    if (token.text === 'import' && tokens[at - 1]?.text !== '.') {
      const next = tokens[at + 1]
      if (next?.text === '.') return // import.meta
      if (next?.text === '(') found.push({ specifier: literal(tokens[at + 2]), names: [], line: token.line })
      else found.push(statement(tokens, at))
    }
    if (token.text === 'require' && tokens[at + 1]?.text === '(' && tokens[at - 1]?.text !== '.')
      found.push({ specifier: literal(tokens[at + 2]), names: [], line: token.line })
    if (token.text === 'export' && isExportFrom(tokens, at)) found.push(statement(tokens, at))
  })
  return found
}

/** The file that a relative specifier names, from the top of the tree; undefined for a package. */
export function resolveReference(source: Source, specifier: string): string | undefined {
  if (!specifier.startsWith('.')) return undefined
  return posix.normalize(posix.join(posix.dirname(source.path), specifier))
}

/** The package that a specifier names, without its sub-path; undefined for a relative one and for `node:` modules. */
export function packageOf(specifier: string): string | undefined {
  if (specifier.startsWith('.') || specifier.startsWith('node:')) return undefined
  return specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/')
}

/** An import or export-from statement: its names up to the string that ends it. */
function statement(tokens: readonly Token[], from: number): ModuleReference {
  const names: string[] = []
  let inBraces = false
  let at = from + 1
  for (; at < tokens.length && tokens[at]?.kind !== SyntaxKind.StringLiteral; at += 1) {
    const text = tokens[at]!.text
    const [before, after] = [tokens[at - 1]!.text, tokens[at + 1]?.text ?? '']
    if (text === '{') inBraces = true
    else if (text === '}') inBraces = false
    else if (!inBraces) names.push(...(text === '*' ? ['*'] : []))
    else if (['{', ','].includes(before) && !(text === 'type' && ![',', '}', 'as'].includes(after))) names.push(text)
    else if (before === 'type' && ['{', ','].includes(tokens[at - 2]!.text) && ![',', 'as'].includes(text))
      names.push(text)
  }
  return { specifier: literal(tokens[at]), names, line: tokens[from]!.line }
}

function isExportFrom(tokens: readonly Token[], at: number): boolean {
  let next = at + 1
  if (tokens[next]?.text === 'type' && ['{', '*'].includes(tokens[next + 1]?.text ?? '')) next += 1
  if (tokens[next]?.text === '*') return true
  if (tokens[next]?.text !== '{') return false
  while (next < tokens.length && tokens[next]?.text !== '}') next += 1
  return tokens[next + 1]?.text === 'from'
}

function literal(token: Token | undefined): string | undefined {
  const isText = token?.kind === SyntaxKind.StringLiteral || token?.kind === SyntaxKind.NoSubstitutionTemplateLiteral
  return isText ? token.value.replaceAll('`', '') : undefined
}
