import { setTimeout as sleep } from 'node:timers/promises'
import type { Closable } from '../../interface/lifecycle.ts'
import type { Logger } from '../../interface/logger.ts'
import type { ControllerMemory } from './controller-memory.ts'
import type { PostgresSession } from './postgres-memory.ts'

/** Between two looks at the database, in milliseconds: how long a network is without a controller after one died. */
const LOOK_MS = 500

/** What a replica does while it leads. */
export interface ElectionOptions {
  readonly connect: () => Promise<PostgresSession>
  /** The replica leads from now on; what it gives is closed when it does so no more. */
  readonly lead: (memory: ControllerMemory) => Promise<Closable>
  readonly logger: Logger
}

/**
 * One of several replicas of a controller. Who holds the lock of the common database leads; the lock goes with the
 * connection, so the database decides and nobody votes. A replica that cannot reach it leads no more: another one may,
 * and where both do for a moment the higher epoch counts, since each sets its epochs aside in the database first.
 */
export class Election implements Closable {
  readonly #options: ElectionOptions
  readonly #ending = new AbortController()
  readonly #running: Promise<void>
  #leading = false

  constructor(options: ElectionOptions) {
    this.#options = options
    this.#running = this.#run()
  }

  get leading(): boolean {
    return this.#leading
  }

  async close(): Promise<void> {
    this.#ending.abort()
    await this.#running
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #run(): Promise<void> {
    const { signal } = this.#ending
    while (!signal.aborted) {
      try {
        await this.#takePart()
      } catch (error) {
        this.#options.logger.warn({ reason: String(error) }, 'This replica takes no part in the election')
      }
      await this.#pause()
    }
  }

  /** Waits for the lock over one connection, leads while it is held, and ends with the connection. */
  async #takePart(): Promise<void> {
    await using session = await this.#options.connect()
    let alive = true
    session.lost.then(
      () => {
        alive = false
      },
      () => {},
    )
    while (alive && !(await session.tryToLead())) {
      await this.#pause()
      if (this.#ending.signal.aborted) return
    }
    if (!alive) return
    const controller = await this.#options.lead(session.memory)
    this.#leading = true
    this.#options.logger.info({}, 'This replica leads')
    try {
      while (alive && !this.#ending.signal.aborted) {
        await session.check()
        await Promise.race([this.#pause(), session.lost])
      }
    } finally {
      this.#leading = false
      await controller.close()
    }
  }

  async #pause(): Promise<void> {
    await sleep(LOOK_MS, undefined, { signal: this.#ending.signal }).catch(() => {})
  }
}
