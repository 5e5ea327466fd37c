import { QkdError } from '../../errors.ts'
import type { Logger } from '../../interface/logger.ts'
import type { Qnl } from '../../interface/qnl.ts'
import { delay } from '../../util/deadline.ts'
import { deferred } from '../../util/deferred.ts'
import type { BlockVerifier } from './block-verifier.ts'

const RETRY_MS = 1000
/** A look goes over all blocks: under load one is due with every commit. */
const LOOK_MS = 50

/** Where blocks come from, where they go, and when they are wanted. */
export interface FillerOptions {
  readonly qnl: Qnl
  readonly remoteSiteId: string
  readonly verifier: BlockVerifier
  /** True while the pool wants blocks and can verify them. */
  readonly wants: () => boolean
  /** No block at or below it is of use. */
  readonly floor: () => bigint
  /** Called for each block that has come. */
  readonly onBlock: () => void
  readonly logger: Logger
}

/** Draws blocks from the QNL into the pool for as long as there is room; data flows one way from here on. */
export class Filler {
  readonly #options: FillerOptions
  readonly #abort = new AbortController()
  #running: Promise<void> = Promise.resolve()
  #lookedAtMs = Number.NEGATIVE_INFINITY
  #next: NodeJS.Timeout | undefined
  #isTimeToLook = deferred<void>()

  constructor(options: FillerOptions) {
    this.#options = options
  }

  start(): void {
    this.#running = this.#run(this.#abort.signal)
  }

  /**
   * Looks whether blocks are wanted by now, soon where it has looked a moment ago. To be called with each commit, when a request
   * begins to wait, and now and then: a timer of its own for each of forty pools that stand by woke the process a thousand times a
   * second.
   */
  look(): void {
    if (this.#next !== undefined) return
    const restMs = LOOK_MS - (performance.now() - this.#lookedAtMs)
    if (restMs <= 0) this.#lookNow()
    else this.#next = setTimeout(() => this.#lookNow(), restMs).unref()
  }

  async close(): Promise<void> {
    clearTimeout(this.#next)
    this.#abort.abort()
    this.#isTimeToLook.resolve()
    await this.#running
  }

  #lookNow(): void {
    this.#next = undefined
    this.#isTimeToLook.resolve()
  }

  async #run(signal: AbortSignal): Promise<void> {
    const { remoteSiteId, logger } = this.#options
    while (!signal.aborted) {
      try {
        await this.#take(signal)
      } catch (error) {
        if (signal.aborted) return
        if (error instanceof QkdError && error.code === 'ERR_QKD_CLOSED') return
        logger.warn({ remoteSiteId, err: (error as Error).message }, 'The QNL gave no block')
        await delay(RETRY_MS, { signal }).catch(() => {})
      }
    }
  }

  async #take(signal: AbortSignal): Promise<void> {
    const { qnl, remoteSiteId, verifier, wants, floor, onBlock } = this.#options
    if (!wants()) {
      this.#lookedAtMs = performance.now()
      this.#isTimeToLook = deferred()
      await this.#isTimeToLook.promise
      return
    }
    const block = await qnl.nextBlock(remoteSiteId, { signal, after: floor() })
    onBlock()
    await verifier.receive(block)
  }
}
