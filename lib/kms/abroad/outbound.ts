import { NoRouteError, PoolExhaustedError, QkdError } from '../../errors.ts'
import type { AbroadHandover, AbroadKeyIds } from '../../interface/abroad.ts'
import type { AbortOptions, Closable } from '../../interface/lifecycle.ts'
import type { Logger } from '../../interface/logger.ts'
import { BackOff } from '../../util/back-off.ts'
import { delay, withDeadline } from '../../util/deadline.ts'
import type { AbroadJournal, OpenHandover } from './journal.ts'
import type { Neighbours } from './neighbour.ts'

/** Handovers under way at a time. */
const MAX_RUNNING = 256
/** How long the other domain may take to say that keys are erased, in milliseconds. */
const VOID_TIMEOUT_MS = 5_000

/** What keys are handed across the border with. */
export interface OutboundOptions {
  readonly neighbours: Neighbours
  readonly journal: AbroadJournal
  readonly logger: Logger
}

/**
 * Keys of this domain on their way to another one. A key is released to its master when the other domain has said that the
 * targets' KMEs hold it; what was not said to be so is voided, for as long as it takes, over restarts too.
 */
export class Outbound implements Closable {
  readonly #options: OutboundOptions
  readonly #voiding = new Set<Promise<void>>()
  readonly #ended = new AbortController()
  #running = 0

  constructor(options: OutboundOptions) {
    this.#options = options
  }

  /** Voids what a crash left open. */
  resume(): void {
    for (const handover of this.#options.journal.handovers) this.#void(handover)
  }

  /**
   * Hands keys over; resolves when they have arrived.
   * @throws {NoRouteError} they have not, or it isn't known; they are being voided
   */
  async handOver(handover: AbroadHandover, { signal }: Required<AbortOptions>): Promise<void> {
    const { neighbours, journal } = this.#options
    const { kme } = neighbours.ofAll(handover.targetSaeIds)
    if (this.#running >= MAX_RUNNING)
      throw new PoolExhaustedError(`${MAX_RUNNING} keys are on their way across the border`)
    const { initiatorSaeId, targetSaeIds } = handover
    const keyIds = handover.keys.map(({ keyId }) => keyId)
    const open = { kmeId: kme.kmeId, initiatorSaeId, targetSaeIds, keyIds }
    this.#running += 1
    try {
      await journal.begin(open)
      await kme.handOver(handover, { signal })
      await journal.end(open)
    } catch (error) {
      this.#void(open)
      throw asNoRoute(error, kme.kmeId)
    } finally {
      this.#running -= 1
    }
  }

  /** Takes back keys that have arrived, and that the master will not be given after all. */
  withdraw(keyIds: AbroadKeyIds): void {
    const { kme } = this.#options.neighbours.ofAll(keyIds.targetSaeIds)
    const open = { ...keyIds, kmeId: kme.kmeId }
    // Its entry went when it had arrived; what is open again must be known after a crash too.
    this.#track(this.#noted(open).then(() => this.#voidUntilSaid(open)))
  }

  async close(): Promise<void> {
    this.#ended.abort()
    await Promise.all(this.#voiding)
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  #void(handover: OpenHandover): void {
    this.#track(this.#voidUntilSaid(handover))
  }

  #track(work: Promise<void>): void {
    const voiding = work.finally(() => this.#voiding.delete(voiding))
    this.#voiding.add(voiding)
  }

  /** Where that can't be written, the keys are voided all the same, as long as this process lives. */
  async #noted(handover: OpenHandover): Promise<void> {
    const { journal, logger } = this.#options
    await journal.begin(handover).catch(error => {
      logger.warn({ kmeId: handover.kmeId, reason: String(error) }, 'a void across the border is not on the disk')
    })
  }

  async #voidUntilSaid(handover: OpenHandover): Promise<void> {
    const { neighbours, journal, logger } = this.#options
    const backOff = new BackOff()
    while (!this.#ended.signal.aborted) {
      const domain = neighbours.of(handover.targetSaeIds[0]!)
      try {
        // A domain that is no longer configured can't be told; its keys expire there.
        await domain?.kme.withdraw(handover, { signal: this.#signal() })
        await journal.end(handover)
        return
      } catch (error) {
        logger.warn({ kmeId: handover.kmeId, reason: String(error) }, 'keys across the border are not voided yet')
      }
      await delay(backOff.nextMs(), { signal: this.#ended.signal }).catch(() => {})
    }
  }

  #signal(): AbortSignal {
    return withDeadline(this.#ended.signal, VOID_TIMEOUT_MS)
  }
}

/** That a KME can't be reached is told our hosts as what it is to them: there is no way across. */
function asNoRoute(error: unknown, kmeId: string): unknown {
  const isOfWire = error instanceof QkdError && /^ERR_QKD_KME_/.test(error.code)
  return isOfWire ? new NoRouteError(`KME ${kmeId} of the other domain does not answer`, { cause: error }) : error
}
