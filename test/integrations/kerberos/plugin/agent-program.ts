import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'

/** The KDC's half of the socket as a program under sanitizers (ask-agent.c): one line asks, one line tells what came. */
export class AgentProgram implements AsyncDisposable {
  readonly #child: ChildProcessWithoutNullStreams
  readonly #lines: AsyncIterator<string>
  readonly #exited: Promise<number | null>
  stderr = ''

  constructor(path: string, socketPath: string) {
    this.#child = spawn(path, [socketPath])
    this.#lines = createInterface({ input: this.#child.stdout })[Symbol.asyncIterator]()
    this.#exited = new Promise(resolve => this.#child.once('close', resolve))
    this.#child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.stderr += text
    })
  }

  /** @param question as `C PRINCIPAL`, `V PRINCIPAL KVNO` or `T PRINCIPAL` */
  async ask(question: string): Promise<string> {
    this.#child.stdin.write(`${question}\n`)
    const line = await this.#lines.next()
    return line.done ? `ended: ${this.stderr}` : line.value
  }

  /** Ends it; what the sanitizers have to say makes this throw. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.stdin.end()
    const code = await this.#exited
    if (code !== 0) throw new Error(`ask-agent ended with ${code}: ${this.stderr}`)
  }
}
