import { createInterface } from 'node:readline'
import { usageError } from './command.ts'

const MAX_CHARS = 1_024

/** A password from the person at the terminal, unseen, or the first line of standard input. Never from the command line. */
export async function readPassword(prompt: string): Promise<string> {
  const { stdin } = process
  if (!stdin.isTTY) return checked(await firstLine())
  process.stderr.write(`${prompt}: `)
  stdin.setRawMode(true)
  try {
    return checked(await typedLine())
  } finally {
    stdin.setRawMode(false)
    stdin.pause()
    process.stderr.write('\n')
  }
}

async function firstLine(): Promise<string> {
  const lines = createInterface({ input: process.stdin })
  for await (const line of lines) {
    lines.close()
    process.stdin.destroy()
    return line
  }
  return ''
}

function typedLine(): Promise<string> {
  return new Promise((resolve, reject) => {
    let typed = ''
    const take = (chunk: Buffer) => {
      for (const character of chunk.toString('utf8')) {
        if (character === '\r' || character === '\n') return done(() => resolve(typed))
        if (character === '\u0003') return done(() => reject(new DOMException('Stopped at the prompt', 'AbortError')))
        typed = character === '\u007f' ? typed.slice(0, -1) : typed + character
      }
    }
    const done = (settle: () => void) => {
      process.stdin.off('data', take)
      settle()
    }
    process.stdin.on('data', take)
  })
}

function checked(password: string): string {
  if (password.length > 0 && password.length <= MAX_CHARS) return password
  throw usageError(`A password has 1 to ${MAX_CHARS} characters; give it on standard input`)
}
