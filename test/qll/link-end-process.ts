import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { SecretKey } from '../../lib/key/secret-key.ts'

/** What the parent asks of the process. */
export type EndOrder =
  | { type: 'listen'; rateBps: number; clockMs?: number }
  | { type: 'connect'; port: number }
  | { type: 'take' }

/** One end of a link in a process of its own, which can be killed and started again. */
export class LinkEndProcess {
  #child: ChildProcess | undefined
  /** Answers come in the order of the questions. */
  #last: Promise<unknown> = Promise.resolve()

  /** Starts the process; for a listening end, resolves with its port. */
  async start(order: Extract<EndOrder, { type: 'listen' | 'connect' }>): Promise<number> {
    this.#child = fork(new URL('./link-end-program.ts', import.meta.url), { execArgv: ['--import', 'tsx'] })
    this.#child.send(order)
    if (order.type === 'connect') return 0
    const [{ port }] = (await once(this.#child, 'message')) as [{ port: number }]
    return port
  }

  /** The next block at that end; its digest stands for its bytes. */
  take({ signal }: { signal: AbortSignal }): Promise<{ number: bigint; secret: SecretKey }> {
    const child = this.#child as ChildProcess
    const answer = this.#last.then(async () => {
      child.send({ type: 'take' } satisfies EndOrder)
      const [{ number, digest }] = (await once(child, 'message', { signal })) as [{ number: string; digest: string }]
      return { number: BigInt(number), secret: SecretKey.copyOf(Buffer.from(digest, 'hex')) }
    })
    this.#last = answer.catch(() => {})
    return answer
  }

  /** kill -9, in the middle of whatever it does. */
  async kill(): Promise<void> {
    const child = this.#child
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return
    const gone = once(child, 'exit')
    child.kill('SIGKILL')
    await gone
  }
}
