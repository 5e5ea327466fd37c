import { posix } from 'node:path'
import type { Fault } from './rules.ts'
import type { Source } from './source-tokens.ts'

/** The words of `wanted` that `page` does not name as code: in backquotes or in a block of code. */
export function unnamedFaults(wanted: readonly string[], page: Source): Fault[] {
  const code = [...page.text.matchAll(/```[a-z]*\n([\s\S]*?)```|`([^`\n]+)`/g)].map(match => match[1] ?? match[2] ?? '')
  return wanted.filter(word => !code.some(text => names(text, word))).map(word => `${page.path}: does not name ${word}`)
}

/** True where `word` stands in `text` as a word of its own: `--site` is not in `--site-b`. */
function names(text: string, word: string): boolean {
  const literal = word.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&')
  return new RegExp(`(?<![\\w-])${literal}(?![\\w-])`).test(text)
}

/** npm scripts that `page` tells people to run and that do not exist. */
export function scriptFaults(page: Source, scripts: readonly string[]): Fault[] {
  return eachMatch(page, /\bnpm (?:run ([\w:-]+)|(start|test)\b)/g, ([, run, own]) => {
    const script = run ?? own ?? ''
    return scripts.includes(script) ? undefined : `names npm script ${script}, which does not exist`
  })
}

/** Links of `page` to files of the tree that are not there. */
export function brokenLinkFaults(page: Source, exists: (path: string) => boolean): Fault[] {
  return eachMatch(page, /\]\(([^)\s#]+)[^)]*\)/g, ([, target = '']) => {
    if (/^[a-z]+:/.test(target)) return undefined
    const path = posix.join(posix.dirname(page.path), target)
    return exists(path) ? undefined : `links to ${path}, which is missing`
  })
}

/** Words that belittle what the reader is about to do. In TypeScript only comments are looked at. */
export function fillerFaults(source: Source): Fault[] {
  const filler = /\b(simply|just|easy|easily)\b/gi
  if (source.path.endsWith('.md')) return eachMatch(source, filler, ([word]) => `says "${word}"`)
  const comments = source.text.replaceAll(/(["'`])(?:\\.|(?!\1)[^\\\n])*\1/g, match => match.replaceAll(/\w/g, ' '))
  return eachMatch({ path: source.path, text: onlyComments(comments) }, filler, ([word]) => `says "${word}"`)
}

/** `text` with everything blanked that is not in a comment, line by line, so that places stay right. */
function onlyComments(text: string): string {
  const blank = (part: string) => part.replaceAll(/[^\n]/g, ' ')
  let out = ''
  let at = 0
  for (const match of text.matchAll(/\/\/[^\n]*|\/\*[\s\S]*?\*\//g)) {
    out += blank(text.slice(at, match.index)) + match[0]
    at = match.index + match[0].length
  }
  return out + blank(text.slice(at))
}

/** A fault for each match of `pattern` that `judge` finds wrong, with its line. */
function eachMatch(page: Source, pattern: RegExp, judge: (match: RegExpMatchArray) => string | undefined): Fault[] {
  return [...page.text.matchAll(pattern)].flatMap(match => {
    const what = judge(match)
    return what === undefined ? [] : [`${page.path}:${page.text.slice(0, match.index).split('\n').length}: ${what}`]
  })
}
