import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

const LOADER = import.meta.resolve('tsx')
const SOURCE = fileURLToPath(new URL('../../bin/qkd.ts', import.meta.url))
const BUILT = fileURLToPath(new URL('../../dist/bin/qkd.js', import.meta.url))

/** What one run of the program left. */
export interface RunResult {
  readonly exitCode: number | null
  readonly stdout: string
  readonly stderr: string
}

/** How to run it. */
export interface RunOptions {
  readonly cwd?: string
  readonly env?: NodeJS.ProcessEnv
  /** Further options of node itself. */
  readonly node?: readonly string[]
}

/**
 * Program and arguments that run `qkd`: out of the sources, or as it was built where `QKD_TEST_BUILT` is 1, which starts in a
 * third of the time.
 */
export function qkdCommandLine(args: readonly string[], node: readonly string[] = []): [string, ...string[]] {
  if (process.env.QKD_TEST_BUILT === '1') return [process.execPath, ...node, BUILT, ...args]
  return [process.execPath, '--import', LOADER, ...node, SOURCE, ...args]
}

/** Starts the real program with `args`, standard input closed. */
export function startQkd(args: readonly string[], options: RunOptions = {}): ChildProcessWithoutNullStreams {
  const { NODE_OPTIONS: _, ...inherited } = process.env
  const [program, ...words] = qkdCommandLine(args, options.node)
  const child = spawn(program, words, { cwd: options.cwd, env: { ...inherited, ...options.env } })
  child.stdin.end()
  return child
}

/** Runs the real program with `args` to its end; ends it by force after 30 seconds. */
export async function runQkd(args: readonly string[], options: RunOptions = {}): Promise<RunResult> {
  const child = startQkd(args, options)
  const timer = setTimeout(() => child.kill('SIGKILL'), 30_000)
  const [stdout, stderr, [exitCode]] = await Promise.all([
    readAll(child.stdout),
    readAll(child.stderr),
    once(child, 'close') as Promise<[number | null]>,
  ])
  clearTimeout(timer)
  return { exitCode, stdout, stderr }
}

/** The first line that `child` writes to standard output; rejects with its errors where it ends before. */
export async function firstLine(child: ChildProcessWithoutNullStreams): Promise<string> {
  const errors = readAll(child.stderr)
  for await (const line of createInterface({ input: child.stdout })) return line
  throw new Error(`The program ended before it said anything: ${await errors}`)
}

async function readAll(stream: NodeJS.ReadableStream): Promise<string> {
  let text = ''
  for await (const chunk of stream.setEncoding('utf8')) text += chunk
  return text
}
