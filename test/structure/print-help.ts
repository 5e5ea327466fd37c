/** Prints the help of `qkd` and of every command below it as one JSON object, by command line. Run as a process of its own. */
import { main } from '../../bin/main.ts'
import { subcommands } from './command-help.ts'

const pages: Record<string, string> = {}
const print = console.log

async function visit(path: readonly string[]): Promise<void> {
  const lines: string[] = []
  console.log = (...words: unknown[]) => lines.push(words.join(' '))
  await main([...path, '--help'])
  console.log = print
  const help = lines.join('\n')
  pages[['qkd', ...path].join(' ')] = help
  for (const name of subcommands(help, path)) await visit([...path, name])
}

await visit([])
console.log(JSON.stringify(pages))
