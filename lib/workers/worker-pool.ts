import type { SaeConfig } from '../config/site-config.ts'
import type { KmsDirectory } from '../interface/kms.ts'
import type { Closable } from '../interface/lifecycle.ts'
import type { Logger } from '../interface/logger.ts'
import type { UndeliveredKeys } from '../kms/owner/serve-owner.ts'
import { BackOff } from '../util/back-off.ts'
import { delay } from '../util/deadline.ts'
import { debugLogger } from '../util/debug-logger.ts'
import type { ListenAddress } from '../util/listen.ts'
import { HostDoor } from './host-door.ts'
import type { WorkerSetup } from './messages.ts'
import { type StartWorker, WorkerProcess } from './worker-process.ts'

/** What the workers of a site are made from. */
export interface WorkerPoolOptions {
  /** How many, 1 to 64. */
  readonly count: number
  readonly start: StartWorker
  readonly setup: Omit<WorkerSetup, 'maxConnections'>
  readonly listen: ListenAddress
  /** Connections over all workers. */
  readonly maxConnections: number
  /** The owner of the pools, for whom they serve. */
  readonly directory: KmsDirectory
  readonly onUndelivered: (keys: UndeliveredKeys) => void
  /** Told whenever a worker has come or gone, with why. */
  readonly onChange: (change: { ready: number; lost?: string }) => void
  readonly logger?: Logger
}

/** A worker that served this long was no failed start: the next pause is the first one again. */
const SOUND_MS = 1_000

/** The processes that serve a site's hosts on one port, each started again when it ends. */
export class WorkerPool implements Closable {
  readonly #options: WorkerPoolOptions
  readonly #logger: Logger
  readonly #door: HostDoor
  readonly #workers = new Set<WorkerProcess>()
  readonly #abort = new AbortController()
  readonly #slots: Promise<void>[] = []
  #setup: WorkerSetup
  #closing: Promise<void> | undefined

  private constructor(options: WorkerPoolOptions) {
    const { setup, count, maxConnections, listen, logger = debugLogger('workers') } = options
    this.#options = options
    this.#logger = logger
    this.#setup = { ...setup, maxConnections: Math.ceil(maxConnections / count) }
    this.#door = new HostDoor({ listen, workers: () => this.#workers })
  }

  /** Resolves when all workers serve and the port is open. @throws {ClosedError} a worker did not start */
  static async open(options: WorkerPoolOptions): Promise<WorkerPool> {
    const pool = new WorkerPool(options)
    try {
      const first = Array.from({ length: options.count }, () => pool.#start())
      await Promise.all(first.map(worker => worker.whenReady()))
      pool.#slots.push(...first.map(worker => pool.#keep(worker)))
      pool.#tell()
      await pool.#door.open()
      return pool
    } catch (error) {
      await pool.close()
      throw error
    }
  }

  /** Where hosts connect. */
  get address(): ListenAddress {
    return this.#door.address
  }

  /** Process IDs of the workers that serve. */
  workerPids(): readonly number[] {
    return [...this.#workers].flatMap(({ isReady, pid }) => (isReady && pid !== undefined ? [pid] : []))
  }

  /** Has all workers serve these hosts from now on, and those that come later. */
  register(saes: readonly SaeConfig[]): void {
    this.#setup = { ...this.#setup, saes }
    for (const worker of this.#workers) worker.register(saes)
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #close(): Promise<void> {
    this.#abort.abort()
    await this.#door.close()
    await Promise.all([...this.#workers].map(worker => worker.drain()))
    await Promise.all(this.#slots)
  }

  #start(): WorkerProcess {
    const { start, directory, onUndelivered } = this.#options
    const worker = new WorkerProcess({ start, directory, onUndelivered, setup: this.#setup })
    this.#workers.add(worker)
    void worker.ended.then(() => this.#workers.delete(worker))
    return worker
  }

  /** Keeps one place filled: waits for the end of whoever has it, and starts the next. */
  async #keep(first: WorkerProcess): Promise<void> {
    const { signal } = this.#abort
    const backOff = new BackOff({ minMs: 50, maxMs: 5_000 })
    for (
      let worker: WorkerProcess | undefined = first;
      worker !== undefined;
      worker = await this.#startAgain(backOff)
    ) {
      await worker.whenReady().then(
        () => this.#tell(),
        () => {},
      )
      this.#door.look()
      const reason = await worker.ended
      if (signal.aborted) return
      this.#logger.warn({ pid: worker.pid, reason }, 'A worker has ended')
      this.#tell(reason)
      if (performance.now() - (worker.readyMs ?? Number.POSITIVE_INFINITY) > SOUND_MS) backOff.reset()
    }
  }

  /** Undefined once the pool closes. A process that the machine has no room for is tried again. */
  async #startAgain(backOff: BackOff): Promise<WorkerProcess | undefined> {
    const { signal } = this.#abort
    for (;;) {
      await delay(backOff.nextMs(), { signal }).catch(() => {})
      if (signal.aborted) return undefined
      try {
        return this.#start()
      } catch (error) {
        this.#logger.warn({ reason: (error as Error).message }, 'A worker could not be started')
      }
    }
  }

  #tell(lost?: string): void {
    this.#options.onChange({ ready: this.workerPids().length, ...(lost !== undefined && { lost }) })
  }
}
