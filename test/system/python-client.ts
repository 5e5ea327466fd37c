import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface, type Interface } from 'node:readline'
import { fileURLToPath } from 'node:url'

const PROGRAM = fileURLToPath(new URL('./etsi014_client.py', import.meta.url))

/** Where a host finds its KME, and what it shows there. Paths are those of PEM files. */
export interface PythonHost {
  readonly url: string
  readonly kmeId: string
  readonly files: { readonly cert: string; readonly key: string; readonly ca: string }
}

/** What the KME answered. */
export interface PythonAnswer {
  readonly status: number
  // biome-ignore lint/suspicious/noExplicitAny: a test reads what it expects
  readonly body: any
}

/** The client in Python, as a process that makes one call after the other over one connection. */
export class PythonClient implements AsyncDisposable {
  readonly #child: ChildProcess
  readonly #lines: AsyncIterator<string>
  readonly #reader: Interface
  #stderr = ''

  constructor(python: string, { url, kmeId, files }: PythonHost) {
    const { hostname, port } = new URL(url)
    const args = ['--host', hostname, '--port', port, '--kme-id', kmeId]
    for (const [name, path] of Object.entries(files)) args.push(`--${name}`, path)
    this.#child = spawn(python, ['-I', PROGRAM, ...args], { stdio: ['pipe', 'pipe', 'pipe'] })
    this.#child.stderr!.on('data', chunk => {
      this.#stderr = (this.#stderr + String(chunk)).slice(-4_000)
    })
    this.#reader = createInterface({ input: this.#child.stdout! })
    this.#lines = this.#reader[Symbol.asyncIterator]()
  }

  /** Makes one call. Fails where the client found the answer to be against the standard. */
  async call(command: { call: 'status' | 'enc_keys' | 'dec_keys'; sae: string; [item: string]: unknown }) {
    this.#child.stdin!.write(`${JSON.stringify(command)}\n`)
    const { value, done } = await this.#lines.next()
    if (done) throw new Error(`The client ended: ${this.#stderr}`)
    const answer = JSON.parse(value) as PythonAnswer & { deviation?: string }
    if (answer.deviation !== undefined) throw new Error(`Against the standard: ${answer.deviation}`)
    return answer
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const { exitCode, signalCode } = this.#child
    if (exitCode === null && signalCode === null) {
      const exited = once(this.#child, 'exit')
      this.#child.stdin!.end()
      const killing = setTimeout(() => this.#child.kill('SIGKILL'), 5_000)
      await exited
      clearTimeout(killing)
    }
    this.#reader.close()
  }
}
