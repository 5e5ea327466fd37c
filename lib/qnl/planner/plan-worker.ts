import type { Worker } from 'node:worker_threads'
import { ClosedError, createQkdError, type QkdErrorCode } from '../../errors.ts'
import type { AbortOptions, Closable } from '../../interface/lifecycle.ts'
import { startThread } from '../../util/thread.ts'
import type { NetworkFile } from './network.ts'
import type { Plan } from './plan.ts'
import type { PlanOptions } from './plan-network.ts'

/** What the thread is asked. */
export interface PlanJob {
  readonly id: number
  readonly file: NetworkFile
  readonly options: PlanOptions
}

/** What it answers: a plan or a failure. */
export interface PlanAnswer {
  readonly id: number
  readonly plan?: Plan
  readonly failure?: {
    readonly code: QkdErrorCode | undefined
    readonly message: string
    readonly details: Record<string, unknown>[]
  }
}

interface Waiting {
  readonly job: PlanJob
  resolve(plan: Plan): void
  reject(reason: unknown): void
}

/** Plans that may wait behind the one in work. */
const MAX_WAITING = 16

/**
 * `planNetwork` on a thread of its own, so that heartbeats and relays go on while it computes. Plans come in the order
 * they were asked for. The thread starts with the first plan and keeps its solver warm; it does not keep the process alive.
 */
export class PlanWorker implements Closable {
  readonly #waiting: Waiting[] = []
  #thread: Worker | undefined
  #nextId = 1
  #closed = false

  /**
   * The plan for `file`. An abort ends the thread at once, and another one goes on with the plans behind.
   * @throws {ConfigError} the input cannot be planned
   * @throws {ClosedError} the worker was closed
   * @throws {RangeError} 16 plans wait already
   */
  plan(file: NetworkFile, { signal, ...options }: PlanOptions & AbortOptions = {}): Promise<Plan> {
    if (this.#closed) return Promise.reject(new ClosedError())
    if (signal?.aborted) return Promise.reject(signal.reason)
    if (this.#waiting.length > MAX_WAITING) return Promise.reject(new RangeError(`${MAX_WAITING} plans wait already`))
    return new Promise((resolve, reject) => {
      const job = { id: this.#nextId++, file, options }
      const onAbort = () => this.#drop(waiting, signal?.reason)
      const settle = () => signal?.removeEventListener('abort', onAbort)
      const waiting: Waiting = {
        job,
        resolve: plan => {
          settle()
          resolve(plan)
        },
        reject: reason => {
          settle()
          reject(reason)
        },
      }
      signal?.addEventListener('abort', onAbort, { once: true })
      this.#waiting.push(waiting)
      if (this.#waiting.length === 1) this.#next()
    })
  }

  async close(): Promise<void> {
    this.#closed = true
    const thread = this.#forgetThread()
    for (const { reject } of this.#waiting.splice(0)) reject(new ClosedError())
    await thread?.terminate()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  /** Sends the first waiting job to the thread. */
  #next(): void {
    const [first] = this.#waiting
    if (first === undefined) {
      this.#thread?.unref()
      return
    }
    try {
      this.#thread ??= this.#start()
      this.#thread.ref()
      this.#thread.postMessage(first.job)
    } catch (error) {
      // No thread to be had, or a file that cannot be sent: that plan fails, not the worker.
      this.#waiting.shift()
      first.reject(error)
      this.#next()
    }
  }

  #start(): Worker {
    const thread = startThread('plan-thread', import.meta.url)
    thread.on('message', (answer: PlanAnswer) => {
      const first = this.#waiting.shift()
      if (first === undefined) return
      if (answer.plan !== undefined) first.resolve(answer.plan)
      else first.reject(toError(answer.failure!))
      this.#next()
    })
    thread.on('error', error => {
      if (this.#thread !== thread) return
      this.#forgetThread()
      this.#waiting.shift()?.reject(error)
      this.#next()
    })
    return thread
  }

  /** Takes a job out; if it is in work, its thread is ended, because nothing else stops a computation. */
  #drop(waiting: Waiting, reason: unknown): void {
    const at = this.#waiting.indexOf(waiting)
    if (at === -1) return
    this.#waiting.splice(at, 1)
    waiting.reject(reason)
    if (at > 0) return
    void this.#forgetThread()?.terminate()
    this.#next()
  }

  #forgetThread(): Worker | undefined {
    const thread = this.#thread
    this.#thread = undefined
    thread?.removeAllListeners()
    return thread
  }
}

function toError({ code, message, details }: NonNullable<PlanAnswer['failure']>): Error {
  return code === undefined ? new Error(message) : createQkdError(code, message, { details })
}
