import { PoolExhaustedError } from '../../errors.ts'
import type { TrustClass } from '../../interface/kms.ts'
import type { AbortOptions } from '../../interface/lifecycle.ts'
import { systemTimers, type Timers } from '../../util/timers.ts'
import { PROMPT_MS } from '../demand/demand-monitor.ts'

/** How often a request may be served after one that came later before it goes first of all. */
const MAX_PASSED = 16
/** What it counts for a late request to be passed by one that is not, in the same priority: only so many are passed for it. */
const PASSED_BY_PROMPT = 1 / 32
/** Requests that may wait at a time; the next one is refused. */
const MAX_WAITING = 10_000
/** Of one host, in one priority: no host shall fill the line for all others. */
const MAX_WAITING_OF_HOST = 1_000

/** What a request needs: cells in all, in keys of `contiguous` cells each. */
export interface Need {
  readonly cells: number
  readonly contiguous: number
  /** Classes that they may have come by. Default any. */
  readonly trustClasses?: readonly TrustClass[] | undefined
}

/**
 * Why a request waits although there is stock: it takes none of its `class`, or has to leave it to higher priorities as their
 * `reserve`. For what it may not have anyway nobody else waits.
 */
export type Held = 'class' | 'reserve' | undefined

/** How a request waits. */
export interface WaitOptions extends AbortOptions {
  readonly need: Need
  /** 0 to 9; higher goes first. */
  readonly priority: number
  /** Who asks: a host's second request waits behind the first of every other. */
  readonly saeId: string
  readonly waitMs: number
  /** Asked when the request can't be served. Default by nothing but the shortage of all. */
  readonly heldBy?: () => Held
}

interface Waiter {
  readonly need: Need
  readonly priority: number
  readonly saeId: string
  /** How many requests of the same host waited before it in its priority. */
  readonly turn: number
  /** When it counts as late, and when it gives up, on the line's clock. */
  readonly lateMs: number
  readonly deadlineMs: number
  /** Order of arrival. */
  readonly number: number
  /** How many that came later were served before it; those that it could wait for count less. */
  passed: number
  attempt(): boolean
  heldBy(): Held
  fail(reason: unknown): void
}

/**
 * Requests that wait for key. Higher priority first; in one priority those that are not late yet, so that a shortage that is
 * over makes late whom it has made late already, and nobody after; then one request a host in turn, then the nearest
 * deadline. A smaller request may pass a larger one of its priority, and a higher one anybody, but each waiter only so often:
 * then it goes first of all. A wait that is given up leaves nothing behind.
 */
export class WaitingLine {
  readonly #timers: Timers
  /** In the order in which they are served. */
  #waiters: Waiter[] = []
  #arrived = 0
  /** How many requests of each host wait in each priority. */
  readonly #counts = new Map<string, number>()

  /** `timers`: default the machine's. */
  constructor({ timers = systemTimers }: { timers?: Timers } = {}) {
    this.#timers = timers
  }

  get length(): number {
    return this.#waiters.length
  }

  /** What all that wait need together, in pieces that serve the first; undefined where nobody waits. */
  get need(): Need | undefined {
    const [first] = this.#waiters
    if (first === undefined) return undefined
    let cells = 0
    for (const { need } of this.#waiters) cells += need.cells
    return { cells, contiguous: first.need.contiguous }
  }

  /** The same, a sum for each choice of classes. */
  get needs(): readonly Need[] {
    if (this.#waiters.length === 0) return NO_NEEDS
    const sums = new Map<string, { cells: number; contiguous: number; trustClasses: Need['trustClasses'] }>()
    for (const { need } of this.#waiters) {
      const { cells, contiguous, trustClasses } = need
      const name = trustClasses?.join() ?? ''
      const sum = sums.get(name)
      if (sum === undefined) sums.set(name, { cells, contiguous, trustClasses })
      else sum.cells += cells
    }
    return [...sums.values()]
  }

  /** True where somebody waits who goes before a new request of that priority. */
  isBefore(priority: number): boolean {
    for (const waiter of this.#waiters) {
      if (waiter.priority < priority && !goesFirst(waiter)) return false
      const blocker = blockerOf(waiter)
      if (blocker !== undefined && !letsPass(blocker, priority)) return true
    }
    return false
  }

  /**
   * What `attempt` gives as soon as it gives something, tried in turn; undefined once `waitMs` is over.
   * @throws {PoolExhaustedError} too many wait already, in all or of this host
   * @throws the signal's reason, or what the line was failed with
   */
  wait<T>(attempt: () => T | undefined, options: WaitOptions): Promise<T | undefined> {
    const { need, priority, saeId, waitMs, signal, heldBy = () => undefined } = options
    if (this.#waiters.length >= MAX_WAITING) {
      return Promise.reject(
        new PoolExhaustedError(`${MAX_WAITING} requests wait for key already`, { retryAfterMs: 1000 }),
      )
    }
    if (this.#waitingOf(saeId, priority) >= MAX_WAITING_OF_HOST) {
      const message = `${MAX_WAITING_OF_HOST} requests of ${saeId} wait for key already`
      return Promise.reject(new PoolExhaustedError(message, { retryAfterMs: 1000 }))
    }
    const nowMs = this.#timers.nowMs()
    return new Promise((resolve, reject) => {
      const leave = () => {
        this.#remove(waiter)
        cancelTimer()
        signal?.removeEventListener('abort', onAbort)
      }
      const waiter: Waiter = {
        need,
        priority,
        saeId,
        turn: this.#waitingOf(saeId, priority),
        lateMs: nowMs + PROMPT_MS,
        deadlineMs: nowMs + waitMs,
        number: this.#arrived++,
        passed: 0,
        attempt: () => {
          try {
            const result = attempt()
            if (result === undefined) return false
            leave()
            resolve(result)
          } catch (error) {
            // The failure is this request's, not that of whoever brought the key.
            waiter.fail(error)
          }
          return true
        },
        heldBy,
        fail: reason => {
          leave()
          reject(reason)
        },
      }
      const onAbort = () => waiter.fail(signal?.reason)
      const cancelTimer = this.#timers.after(waitMs, () => {
        leave()
        resolve(undefined)
      })
      signal?.addEventListener('abort', onAbort, { once: true })
      this.#insert(waiter)
    })
  }

  /** Lets the waiters try in their order, until one can't be served and nobody may pass it. */
  serve(): void {
    // A smaller request may pass a larger one of its own priority; a lower priority never passes a higher one.
    let blockedBy: Blocker | undefined
    const nowMs = this.#timers.nowMs()
    for (const waiter of promptFirst(this.#waiters, nowMs)) {
      const isBehind = blockedBy !== undefined && !letsPass(blockedBy, waiter.priority)
      if (blockedBy !== undefined && isBehind) {
        const { first, held } = blockedBy
        if (waiter.priority < first.priority) return
        if (goesFirst(first)) {
          if (held === undefined) return
          // Those of higher priorities come later, and what it is held by is theirs.
          continue
        }
        if (waiter.need.cells >= first.need.cells) continue
      }
      if (waiter.attempt()) this.#countPassed(waiter, nowMs)
      else if (!isBehind) blockedBy = blockerOf(waiter) ?? blockedBy
    }
  }

  /** Ends every wait. */
  fail(reason: unknown): void {
    for (const waiter of [...this.#waiters]) waiter.fail(reason)
  }

  /** Everybody who came before `served` and still waits was passed once more. */
  #countPassed(served: Waiter, nowMs: number): void {
    let isOverdue = false
    for (const waiter of this.#waiters) {
      if (waiter.number > served.number || goesFirst(waiter)) continue
      const forPromptness = waiter.priority === served.priority && waiter.lateMs <= nowMs && served.lateMs > nowMs
      waiter.passed += forPromptness && served.need.cells >= waiter.need.cells ? PASSED_BY_PROMPT : 1
      isOverdue ||= goesFirst(waiter)
    }
    if (isOverdue) this.#waiters.sort(compare)
  }

  #insert(waiter: Waiter): void {
    let low = 0
    let high = this.#waiters.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (compare(this.#waiters[middle]!, waiter) <= 0) low = middle + 1
      else high = middle
    }
    this.#waiters.splice(low, 0, waiter)
    this.#counts.set(countName(waiter), this.#waitingOf(waiter.saeId, waiter.priority) + 1)
  }

  #remove(waiter: Waiter): void {
    const at = this.#waiters.indexOf(waiter)
    if (at < 0) return
    this.#waiters.splice(at, 1)
    const count = this.#waitingOf(waiter.saeId, waiter.priority) - 1
    if (count > 0) this.#counts.set(countName(waiter), count)
    else this.#counts.delete(countName(waiter))
  }

  #waitingOf(saeId: string, priority: number): number {
    return this.#counts.get(countName({ saeId, priority })) ?? 0
  }
}

function countName({ saeId, priority }: Pick<Waiter, 'saeId' | 'priority'>): string {
  return `${priority} ${saeId}`
}

/** True for who was passed so often that it goes first of all. */
function goesFirst({ passed }: Waiter): boolean {
  return passed >= MAX_PASSED
}

/** Asked with every key, and most of the time nobody waits. */
const NO_NEEDS: readonly Need[] = []

/** A waiter that can't be served, and why. */
interface Blocker {
  readonly first: Waiter
  readonly held: Held
}

/** What stands in the way of others where `waiter` can't be served; undefined where nothing does. */
function blockerOf(waiter: Waiter): Blocker | undefined {
  const held = waiter.heldBy()
  return held === 'class' ? undefined : { first: waiter, held }
}

/** True where it does not keep a request of that priority from what there is. */
function letsPass({ first, held }: Blocker, priority: number): boolean {
  return held === 'reserve' && priority > first.priority
}

/** The waiters, sorted as they are, but in each priority those first who are not late yet. */
function promptFirst(waiters: readonly Waiter[], nowMs: number): Waiter[] {
  const inOrder: Waiter[] = []
  let late: Waiter[] = []
  for (const waiter of waiters) {
    const isLate = waiter.lateMs <= nowMs && !goesFirst(waiter)
    if (late.length > 0 && late[0]!.priority !== waiter.priority) {
      inOrder.push(...late)
      late = []
    }
    if (isLate) late.push(waiter)
    else inOrder.push(waiter)
  }
  return [...inOrder, ...late]
}

/** Negative where `a` is served before `b`. */
function compare(a: Waiter, b: Waiter): number {
  const overdue = Number(goesFirst(b)) - Number(goesFirst(a))
  if (overdue !== 0) return overdue
  if (goesFirst(a)) return a.number - b.number
  return b.priority - a.priority || a.turn - b.turn || a.deadlineMs - b.deadlineMs || a.number - b.number
}
