import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

/** The commands that a help page lists below `path`. */
export function subcommands(help: string, path: readonly string[]): string[] {
  const list = /(?:^|\n)Commands:\n([\s\S]*?)(?:\n\n|$)/.exec(help)?.[1] ?? ''
  const name = new RegExp(`^  ${['qkd', ...path].join(' ')} ([a-z][a-z0-9-]*)`, 'gm')
  return [...list.matchAll(name)].map(match => match[1] ?? '')
}

/** The help of `qkd` and of every command below it, by command line, as a person without a terminal sees it. */
export async function commandHelp(): Promise<Record<string, string>> {
  const script = fileURLToPath(new URL('print-help.ts', import.meta.url))
  const { stdout } = await promisify(execFile)(process.execPath, ['--import', 'tsx', script])
  return JSON.parse(stdout) as Record<string, string>
}

/** The help pages as Markdown: a heading and a block of text for each command. */
export function helpSections(pages: Readonly<Record<string, string>>): string {
  return Object.entries(pages)
    .map(([command, help]) => `### \`${command}\`\n\n\`\`\`text\n${help.replaceAll(/[ \t]+$/gm, '').trim()}\n\`\`\``)
    .join('\n\n')
}
