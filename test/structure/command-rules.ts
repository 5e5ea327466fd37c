import type { Fault } from './rules.ts'
import type { Source } from './source-tokens.ts'

/** The help of each command by its name, such as `qkd key get`, as the reference (docs/cli.md) has it. */
export function commandReference({ text }: Source): ReadonlyMap<string, string> {
  const sections = text.matchAll(/^### `(qkd[^`]*)`\n\n```text\n([\s\S]*?)^```$/gm)
  return new Map([...sections].map(([, name = '', help = '']) => [name, help]))
}

/** Commands in `page` (in blocks of shell and in backquotes) that `reference` does not have, or not with that option. */
export function commandFaults(page: Source, reference: ReadonlyMap<string, string>): Fault[] {
  return spelledCommands(page).flatMap(({ words, line }) => {
    const at = `${page.path}:${line}`
    let name = 'qkd'
    let rest = words.slice(1)
    while (reference.has(`${name} ${rest[0]}`)) {
      name = `${name} ${rest[0]}`
      rest = rest.slice(1)
    }
    const help = reference.get(name) ?? ''
    const [next = ''] = rest
    if (/^[a-z]/.test(next) && help.includes('\nCommands:\n')) return [`${at}: ${name} has no command ${next}`]
    const options = rest.flatMap(word => /^--[a-z][a-z0-9-]*/.exec(word)?.[0] ?? [])
    return options
      .filter(option => !new RegExp(`${option}(?![\\w-])`).test(help))
      .map(option => `${at}: ${name} has no option ${option}`)
  })
}

/** What may stand before a command. */
const BEFORE = /^(npx|sudo|until|if|while|exec|!|\+|-|\$|\w+=\S*)?$/

function spelledCommands({ text }: Source): { words: string[]; line: number }[] {
  const lineAt = (index: number) => text.slice(0, index).split('\n').length
  const blocks = [...text.matchAll(/^ *```(?:sh|bash|diff)?\n([\s\S]*?)^ *```$/gm)].flatMap(match => {
    const first = lineAt(match.index) + 1
    const body = match[1] ?? ''
    return [...body.matchAll(/(?:\\\n|[^\n])+/g)].map(({ 0: code, index }) => ({
      code: code.replaceAll('\\\n', ' '),
      line: first + body.slice(0, index).split('\n').length - 1,
    }))
  })
  const prose = text.replaceAll(/^ *```[\s\S]*?^ *```$/gm, block => block.replaceAll(/[^\n]/g, ' '))
  const spans = [...prose.matchAll(/`([^`]+)`/g)].map(match => ({ code: match[1] ?? '', line: lineAt(match.index) }))
  return [...blocks, ...spans].flatMap(({ code, line }) =>
    code
      .replace(/(^|\s)#.*$/, '')
      .split(/[|;&<>()]+|\bdo\b/)
      .map(part => part.trim().split(/\s+/))
      .map(words => words.slice(words.findIndex(word => !BEFORE.test(word))))
      .map(words => (words.slice(0, 4).join(' ') === 'npm run qkd --' ? ['qkd', ...words.slice(4)] : words))
      .filter(words => words[0] === 'qkd' && words.length > 1)
      .map(words => ({ words: words.map(word => word.replaceAll(/^['"`]|['"`.,]+$/g, '')), line })),
  )
}
