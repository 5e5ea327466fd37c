import { execFile } from 'node:child_process'
import { promisify } from 'node:util'

const execute = promisify(execFile)

/** Runs a program to its end within `timeoutMs` and gives what it printed; rejects with what it said where it fails. */
export async function run(program: string, args: readonly string[], { timeoutMs = 10_000 } = {}): Promise<string> {
  const { stdout } = await execute(program, args, { timeout: timeoutMs, maxBuffer: 16 * 1024 * 1024 })
  return stdout
}
