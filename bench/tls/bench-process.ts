import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'

/** A module of this folder that runs in a process of its own and answers one message at a time. */
export class BenchProcess implements AsyncDisposable {
  readonly #child: ChildProcess

  constructor(module: URL) {
    this.#child = fork(module, { execArgv: ['--import', 'tsx'] })
  }

  /** Sends `message` and gives the answer; fails when the process ends instead. */
  async ask<T>(message: object): Promise<T> {
    const over = new AbortController()
    const { signal } = over
    try {
      const answer = once(this.#child, 'message', { signal })
      const ended = once(this.#child, 'exit', { signal }).then(([code]) => {
        throw new Error(`${this.#child.spawnargs.at(-1)} ended with ${code}`)
      })
      this.#child.send(message)
      const [value] = await Promise.race([answer, ended])
      return value as T
    } finally {
      over.abort()
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode !== null) return
    const exited = once(this.#child, 'exit')
    this.#child.disconnect()
    await exited
  }
}

/** The child's side: answers each message until the parent lets go, then cleans up and ends. */
export function answer(handle: (message: never) => Promise<unknown> | unknown, close: () => Promise<void>): void {
  process.on('message', async message => process.send!((await handle(message as never)) as object))
  process.on('disconnect', async () => {
    await close()
    process.exit()
  })
}
