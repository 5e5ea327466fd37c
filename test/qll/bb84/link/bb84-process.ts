import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { SecretKey } from '../../../../lib/key/secret-key.ts'

/** What the parent asks of the process. The key is one of the test's own. */
export type PartOrder =
  | { type: 'photons' }
  | { type: 'alice'; psk: string; photonPort?: number }
  | { type: 'bob'; psk: string; port: number; photonPort?: number }
  | { type: 'take' }

/** One part of a link in a process of its own, which can be killed and started again. */
export class PartProcess {
  #child: ChildProcess | undefined
  /** Answers come in the order of the questions. */
  #last: Promise<unknown> = Promise.resolve()

  /** Starts the process; for a part that listens, resolves with its port. */
  async start(order: Exclude<PartOrder, { type: 'take' }>): Promise<number> {
    this.#child = fork(new URL('./bb84-program.ts', import.meta.url), { execArgv: ['--import', 'tsx'] })
    this.#last = Promise.resolve()
    this.#child.send(order)
    if (order.type === 'bob') return 0
    const [{ port }] = (await once(this.#child, 'message')) as [{ port: number }]
    return port
  }

  /** The next block at that end; its digest stands for its bytes. */
  take({ signal }: { signal: AbortSignal }): Promise<{ number: bigint; secret: SecretKey }> {
    const child = this.#child as ChildProcess
    const answer = this.#last.then(async () => {
      child.send({ type: 'take' } satisfies PartOrder)
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
