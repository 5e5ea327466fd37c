import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'

/** A module of this folder that runs in a process of its own and answers one message at a time. */
export class BenchProcess implements AsyncDisposable {
  readonly #child: ChildProcess

  /** @param name of the module, without ending */
  constructor(name: string) {
    const isSource = import.meta.url.endsWith('.ts')
    const module = new URL(`./${name}.${isSource ? 'ts' : 'js'}`, import.meta.url)
    this.#child = fork(module, { execArgv: ['--expose-gc', ...(isSource ? ['--import', 'tsx'] : [])] })
  }

  get pid(): number {
    return this.#child.pid!
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
      ended.catch(() => {})
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

/** What this process has used so far: the answer to `{ usage: true }`. */
export interface Usage {
  /** Processor time of all its threads, in microseconds. */
  readonly cpuUs: number
  /** Memory resident after a collection, in bytes. */
  readonly rssBytes: number
  /** Memory that objects hold after a collection, on the heap and beside it, in bytes. */
  readonly heldBytes: number
}

/** The child's side: answers each message until the parent lets go, then cleans up and ends. */
export function answer(handle: (message: never) => Promise<unknown> | unknown, close: () => Promise<void>): void {
  process.on('message', async message => {
    const asked = message as { usage?: 'cpu' | 'memory' }
    process.send!((asked.usage === undefined ? await handle(message as never) : usage(asked.usage)) as object)
  })
  process.on('disconnect', async () => {
    await close()
    process.exit()
  })
}

function usage(what: 'cpu' | 'memory'): Usage {
  const { user, system } = process.cpuUsage()
  // Twice: what the first pass finds dead may hold on to memory outside the heap.
  if (what === 'memory') for (let pass = 0; pass < 2; pass += 1) globalThis.gc!()
  const { rss, heapUsed, external } = process.memoryUsage()
  return { cpuUs: user + system, rssBytes: rss, heldBytes: heapUsed + external }
}
