import { once } from 'node:events'
import { eitherSignal } from '../lib/index.ts'
import { EXIT_CODES } from './exit-codes.ts'

/** Writes to standard output and waits until the bytes are taken: the caller may wipe them then. */
export async function print(data: string | Uint8Array): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    process.stdout.write(data, error => (error == null ? resolve() : reject(error)))
  })
}

/** Writes lines of text to standard output. */
export function printLines(...lines: readonly string[]): Promise<void> {
  return print(`${lines.join('\n')}\n`)
}

/** Writes one JSON document on one line to standard output. */
export function printJson(value: unknown): Promise<void> {
  return print(`${JSON.stringify(value)}\n`)
}

/** Tells a person something that is no part of the result: standard error. */
export function warn(warnings: readonly string[], { json }: { json: boolean }): void {
  for (const warning of warnings) {
    process.stderr.write(json ? `${JSON.stringify({ warning })}\n` : `warning: ${warning}\n`)
  }
}

/** Resolves as `work` does; says what is under way, to a person, where it takes more than a second. */
export async function sayIfLong<T>(text: string, work: Promise<T>): Promise<T> {
  const timer = setTimeout(() => process.stderr.write(`${text}\n`), 1_000)
  try {
    return await work
  } finally {
    clearTimeout(timer)
  }
}

/** A reader that goes away (`qkd … | head`) ends the program without a word, as it does other programs. */
export function endWhenReaderGoes(): void {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit()
    process.stderr.write(`error: standard output takes no more: ${error.message}\n`)
    process.exit(EXIT_CODES.internal.code)
  })
}

/** Resolves at the first SIGINT or SIGTERM, or when `signal` aborts; a second Ctrl-C then ends the program at once. */
export async function stopSignal({ signal }: { signal?: AbortSignal } = {}): Promise<'SIGINT' | 'SIGTERM'> {
  const settled = new AbortController()
  const wait = async (name: 'SIGINT' | 'SIGTERM') => {
    const either = eitherSignal(settled.signal, signal)
    await once(process, name, { signal: either })
    return name
  }
  try {
    return await Promise.race([wait('SIGINT'), wait('SIGTERM')])
  } finally {
    settled.abort()
  }
}
