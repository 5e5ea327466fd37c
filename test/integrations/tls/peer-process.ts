import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import { abortable } from '../../../lib/index.ts'

/** A program that runs as the other end of a test; killed when the `await using` block ends. */
export class PeerProcess implements AsyncDisposable {
  readonly #child: ChildProcess
  readonly #exited: Promise<unknown>
  #output = ''
  #onOutput = () => {}

  constructor(path: string, args: readonly string[], env: NodeJS.ProcessEnv = process.env) {
    this.#child = spawn(path, args, { stdio: 'pipe', env })
    this.#exited = once(this.#child, 'exit')
    for (const stream of [this.#child.stdout!, this.#child.stderr!]) {
      stream.on('data', chunk => {
        this.#output += chunk
        this.#onOutput()
      })
    }
    this.#child.stdin!.on('error', () => {})
  }

  write(text: string): void {
    this.#child.stdin!.write(text)
  }

  /** Resolves with the match once the program has printed it; rejects after ten seconds, or `timeoutMs`, with all that it printed. */
  async printed(pattern: RegExp, { timeoutMs = 10_000 } = {}): Promise<RegExpExecArray> {
    const timeout = AbortSignal.timeout(timeoutMs)
    for (;;) {
      const match = pattern.exec(this.#output)
      if (match !== null) return match
      await new Promise<void>((resolve, reject) => {
        this.#onOutput = resolve
        const fail = (why: string) => () => reject(new Error(`${why} without ${pattern}; it printed:\n${this.#output}`))
        timeout.addEventListener('abort', fail(`${timeoutMs} ms passed`), { once: true })
        this.#child.once('close', fail('The program ended'))
      })
    }
  }

  /** Resolves when the program has ended by itself with 0; rejects with all that it printed if it ends otherwise or takes ten seconds. */
  async exited(): Promise<void> {
    await abortable(this.#exited, { signal: AbortSignal.timeout(10_000) })
    const { exitCode } = this.#child
    if (exitCode !== 0) throw new Error(`The program ended with ${exitCode}; it printed:\n${this.#output}`)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill('SIGKILL')
    await this.#exited
  }
}

/** A port of loopback that is free just now, for programs that can't choose one. */
export async function findFreePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}
