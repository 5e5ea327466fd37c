import { SyntaxKind } from 'typescript/unstable/ast'
import { createScanner } from 'typescript/unstable/ast/scanner'

/** A source file as the rules see it: its path from the top of the tree, with `/`, and its text. */
export interface Source {
  readonly path: string
  readonly text: string
}

/** One token of TypeScript; comments are passed over, text in strings is one token. */
export interface Token {
  readonly kind: SyntaxKind
  readonly text: string
  /** Value of a string literal, or the same as `text`. */
  readonly value: string
  readonly line: number
  /** True where a doc comment stands right before it. */
  readonly documented: boolean
}

/** Tokens after which `/` divides; after any other it begins a regular expression. */
const operandEnds = new Set([
  SyntaxKind.Identifier,
  SyntaxKind.NumericLiteral,
  SyntaxKind.BigIntLiteral,
  SyntaxKind.StringLiteral,
  SyntaxKind.NoSubstitutionTemplateLiteral,
  SyntaxKind.TemplateTail,
  SyntaxKind.RegularExpressionLiteral,
  SyntaxKind.CloseParenToken,
  SyntaxKind.CloseBracketToken,
  SyntaxKind.CloseBraceToken,
  SyntaxKind.ThisKeyword,
  SyntaxKind.SuperKeyword,
])

/** Every rule reads every file: each text is scanned once. */
const scanned = new Map<string, readonly Token[]>()

/** The tokens of `text`, by the scanner of TypeScript itself, so that comments and strings never look like code. */
export function tokenize(text: string): readonly Token[] {
  const known = scanned.get(text)
  if (known !== undefined) return known
  const tokens = scan(text)
  scanned.set(text, tokens)
  return tokens
}

function scan(text: string): Token[] {
  const scanner = createScanner(true, undefined, text)
  const tokens: Token[] = []
  const openBraces: number[] = []
  let line = 1
  let lineAt = 0
  for (;;) {
    let kind = scanner.scan()
    if (kind === SyntaxKind.EndOfFile) return tokens
    if (kind === SyntaxKind.SlashToken || kind === SyntaxKind.SlashEqualsToken) {
      const last = tokens.at(-1)
      if (last === undefined || !operandEnds.has(last.kind)) kind = scanner.reScanSlashToken()
    }
    const depth = openBraces.length - 1
    if (kind === SyntaxKind.TemplateHead) openBraces.push(0)
    else if (depth >= 0 && kind === SyntaxKind.OpenBraceToken) openBraces[depth]! += 1
    else if (depth >= 0 && kind === SyntaxKind.CloseBraceToken) {
      if (openBraces[depth] === 0) {
        kind = scanner.reScanTemplateToken(false)
        if (kind === SyntaxKind.TemplateTail) openBraces.pop()
      } else openBraces[depth]! -= 1
    }
    const start = scanner.getTokenStart()
    for (let at = text.indexOf('\n', lineAt); at !== -1 && at < start; at = text.indexOf('\n', lineAt)) {
      line += 1
      lineAt = at + 1
    }
    const value = kind === SyntaxKind.StringLiteral ? scanner.getTokenValue() : scanner.getTokenText()
    tokens.push({ kind, text: scanner.getTokenText(), value, line, documented: scanner.hasPrecedingJSDocComment() })
  }
}
