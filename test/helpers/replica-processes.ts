import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { copyFile, mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { Reservation } from './reservation-history.ts'
import { until } from './until.ts'

/** Replicas of one site as processes, and the reservations that any of them acknowledged. */
export class ReplicaProcesses implements AsyncDisposable {
  readonly history: Reservation[] = []
  /** Who owned the site, in order. */
  readonly owners: { readonly owner: string; readonly epoch: number }[] = []
  readonly #url: string
  readonly #directory: string
  readonly #children = new Map<string, ChildProcess>()

  constructor(url: string, directory: string) {
    this.#url = url
    this.#directory = directory
  }

  /** Starts a replica; each but the first gets the keys of that. */
  async start(replicaId: string): Promise<void> {
    const own = join(this.#directory, replicaId)
    await mkdir(join(own, 'store'), { recursive: true })
    const [first] = this.#children.keys()
    if (first !== undefined && first !== replicaId) {
      for (const file of ['kek', 'store/slots.bin']) await copyFile(join(this.#directory, first, file), join(own, file))
    }
    const child = fork(new URL('./replica-program.ts', import.meta.url), [this.#url, own, replicaId], {
      execArgv: ['--import', 'tsx'],
    })
    child.on('message', message => this.#take(message as Record<string, string | number>))
    this.#children.set(replicaId, child)
  }

  /** The replica that owns the site now. */
  get owner(): string | undefined {
    return this.owners.at(-1)?.owner
  }

  signal(replicaId: string, signal: 'SIGSTOP' | 'SIGCONT' | 'SIGKILL'): void {
    this.#children.get(replicaId)?.kill(signal)
  }

  /** Waits for so many further reservations. */
  async progress(count: number): Promise<void> {
    const before = this.history.length
    await until(() => this.history.length >= before + count, `${count} further reservations`, { timeoutMs: 30_000 })
  }

  /** Waits until another replica than this one owns the site. */
  async takeover(from: string): Promise<void> {
    await until(() => this.owner !== from, `another owner than ${from}`, { timeoutMs: 30_000 })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const child of this.#children.values()) {
      if (child.exitCode !== null || child.signalCode !== null) continue
      const exited = once(child, 'exit')
      child.kill('SIGKILL')
      await exited
    }
  }

  #take(message: Record<string, string | number>): void {
    if ('owner' in message) this.owners.push({ owner: String(message.owner), epoch: Number(message.epoch) })
    if (!('index' in message)) return
    const { index, begunNs, endedNs, by } = message
    this.history.push({
      index: Number(index),
      begunNs: BigInt(begunNs!),
      endedNs: BigInt(endedNs!),
      by: String(by),
    })
  }
}
