import { spawn } from 'node:child_process'
import type { AlarmNotice, AlarmSink } from '../../interface/alarm.ts'
import type { AbortOptions } from '../../interface/lifecycle.ts'
import { noticeJson } from '../notice-json.ts'

/** Which program is told. */
export interface CommandSinkOptions {
  readonly name: string
  /** Program (an absolute path) and its arguments, as they are: no shell reads them, and nothing of an alarm is among them. */
  readonly argv: readonly [string, ...string[]]
}

/** Runs a program for each notice, with the notice as JSON on its standard input; exit code 0 is a delivery. */
export class CommandSink implements AlarmSink {
  readonly name: string
  readonly #argv: readonly [string, ...string[]]
  readonly #running = new Set<Promise<unknown>>()

  constructor({ name, argv }: CommandSinkOptions) {
    this.name = name
    this.#argv = argv
  }

  deliver(notice: AlarmNotice, { signal }: Required<AbortOptions>): Promise<void> {
    const running = run(this.#argv, noticeJson(notice), signal)
    this.#running.add(running)
    return running.finally(() => this.#running.delete(running))
  }

  async close(): Promise<void> {
    await Promise.allSettled(this.#running)
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}

/** Resolves when the program has ended well; a program that does not end in time is killed, with what it has started. */
function run([program, ...args]: readonly [string, ...string[]], input: string, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason)
    // A group of its own, so that what it has started can be ended with it; and none of our environment.
    const child = spawn(program, args, {
      detached: true,
      stdio: ['pipe', 'ignore', 'ignore'],
      env: { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' },
      cwd: '/',
    })
    const kill = () => {
      try {
        if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL')
      } catch {
        // It has ended by itself.
      }
    }
    signal.addEventListener('abort', kill, { once: true })
    const end = (error: Error | undefined) => {
      signal.removeEventListener('abort', kill)
      if (error === undefined) resolve()
      else reject(error)
    }
    child.once('error', end)
    child.once('close', (code, killedBy) => {
      if (code === 0) return end(undefined)
      if (signal.aborted) return end(new Error(`${program} did not end in time`))
      end(new Error(killedBy === null ? `${program} ended with ${code}` : `${program} was killed by ${killedBy}`))
    })
    // A program that does not read is no error of ours.
    child.stdin.on('error', () => {})
    child.stdin.end(`${input}\n`)
  })
}
