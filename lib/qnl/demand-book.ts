import { InvalidArgumentError } from '../errors.ts'
import type { Demand, DemandGrant, QnlStatus } from '../interface/qnl.ts'
import { requireInteger } from '../util/deadline.ts'

const KINDS: readonly string[] = ['continuous', 'on-demand'] satisfies Demand['kind'][]
const MODES: readonly string[] = ['single', 'multipath', 'split'] satisfies Demand['mode'][]
const MAX_DEADLINE_MS = 2 ** 31 - 1

/** A demand that stands, and what is granted of it now. */
interface Entry {
  readonly demand: Demand
  grantedBps: number
  /** Withdraws an `on-demand` one at its deadline. */
  readonly expiry: NodeJS.Timeout | undefined
}

/** The demands of one site, one for each neighbour. */
export class DemandBook {
  readonly #entries = new Map<string, Entry>()
  readonly #onExpiry: (remoteSiteId: string) => void

  /** `onExpiry` is called when a demand has come to its deadline and is withdrawn. */
  constructor(onExpiry: (remoteSiteId: string) => void) {
    this.#onExpiry = onExpiry
  }

  /** Records a checked demand in place of the last one; a rate of 0 only withdraws that. */
  set(remoteSiteId: string, demand: Demand, grant: DemandGrant): void {
    this.withdraw(remoteSiteId)
    if (demand.rateBps === 0) return
    const { kind, deadlineMs } = demand
    const expire = () => {
      this.withdraw(remoteSiteId)
      this.#onExpiry(remoteSiteId)
    }
    const expiry = kind === 'on-demand' && deadlineMs !== undefined ? setTimeout(expire, deadlineMs).unref() : undefined
    this.#entries.set(remoteSiteId, { demand: demand, grantedBps: grant.rateBps, expiry })
  }

  /** What is asked for now, in bits per second. */
  askedBps(remoteSiteId: string): number {
    return this.#entries.get(remoteSiteId)?.demand.rateBps ?? 0
  }

  /** Grants a new rate to a demand that stands, and gives back the last one. */
  regrant(remoteSiteId: string, grantedBps: number): number {
    const entry = this.#entries.get(remoteSiteId)
    if (entry === undefined) return 0
    const wasBps = entry.grantedBps
    entry.grantedBps = grantedBps
    return wasBps
  }

  withdraw(remoteSiteId: string): void {
    clearTimeout(this.#entries.get(remoteSiteId)?.expiry)
    this.#entries.delete(remoteSiteId)
  }

  /** Every demand that stands, sorted by site. */
  list(): QnlStatus['demands'] {
    return [...this.#entries]
      .map(([remoteSiteId, { demand, grantedBps }]) => ({ remoteSiteId, askedBps: demand.rateBps, grantedBps }))
      .sort((a, b) => (a.remoteSiteId < b.remoteSiteId ? -1 : 1))
  }

  clear(): void {
    for (const remoteSiteId of [...this.#entries.keys()]) this.withdraw(remoteSiteId)
  }
}

/**
 * A copy of the demand with the fields that it may have.
 * @throws {InvalidArgumentError} a field is out of its range
 */
export function checkDemand(demand: Demand): Demand {
  const { rateBps, weight, kind, deadlineMs, mode, shares, pool } = demand
  if (!(Number.isFinite(rateBps) && rateBps >= 0)) throw faulty('rateBps', 'a number of bits per second from 0 up')
  if (!(Number.isFinite(weight) && weight > 0)) throw faulty('weight', 'a number above 0')
  if (!KINDS.includes(kind)) throw faulty('kind', `one of ${KINDS.join(', ')}`)
  if (!MODES.includes(mode)) throw faulty('mode', `one of ${MODES.join(', ')}`)
  if (deadlineMs !== undefined) requireInteger('demand.deadlineMs', deadlineMs, { min: 1, max: MAX_DEADLINE_MS })
  if (shares !== undefined) requireInteger('demand.shares', shares, { min: 2, max: 8 })
  if (shares !== undefined && mode !== 'split') throw faulty('mode', 'split where there are shares')
  if (pool !== undefined) {
    for (const bits of [pool.stockBits, pool.targetBits])
      if (!(Number.isFinite(bits) && bits >= 0)) throw faulty('pool', 'two numbers of bits from 0 up')
  }
  return Object.freeze({
    rateBps,
    weight,
    kind,
    mode,
    ...(deadlineMs !== undefined && { deadlineMs }),
    ...(shares !== undefined && { shares }),
    ...(pool !== undefined && { pool: Object.freeze({ stockBits: pool.stockBits, targetBits: pool.targetBits }) }),
  })
}

function faulty(field: string, range: string): InvalidArgumentError {
  return new InvalidArgumentError(`demand.${field} must be ${range}`)
}
