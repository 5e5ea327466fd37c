import type { Demand, DemandGrant, QnlEvent } from '../interface/qnl.ts'

interface StandingDemand {
  readonly demand: Demand
  /** When it is of no more use, in milliseconds of the monotonic clock; infinite for most. */
  readonly untilMs: number
  grantedBps: number
}

/**
 * What the client of a QNL has asked for: said again after each reconnection, because the QNL may have been restarted,
 * and the source of the events that a lost connection means for the KMS.
 */
export class StandingDemands {
  readonly #demands = new Map<string, StandingDemand>()
  /** Pairs of which the KMS was told that a lost connection leaves them unserved, and nothing since. */
  readonly #lost = new Set<string>()

  /**
   * Records what the QNL granted, in place of the last demand; a rate of 0 only withdraws that. Gives the event for a pair
   * that a lost connection had left unserved.
   */
  record(remoteSiteId: string, demand: Demand, { rateBps }: DemandGrant): QnlEvent[] {
    this.#demands.delete(remoteSiteId)
    const isServed = rateBps > 0 || demand.rateBps === 0
    const events: QnlEvent[] =
      isServed && this.#lost.delete(remoteSiteId) ? [{ type: 'restored', remoteSiteId, rateBps }] : []
    if (demand.rateBps === 0) return events
    const untilMs = performance.now() + (demand.deadlineMs ?? Number.POSITIVE_INFINITY)
    this.#demands.set(remoteSiteId, { demand, untilMs, grantedBps: rateBps })
    return events
  }

  /** Follows what the QNL says of a grant. */
  note(event: QnlEvent): void {
    if (event.type === 'restored') this.#lost.delete(event.remoteSiteId)
    const standing = this.#demands.get(event.remoteSiteId)
    if (standing === undefined || event.type === 'link-down') return
    standing.grantedBps = event.type === 'pair-unserved' ? 0 : event.rateBps
  }

  /** The connection is lost: nothing is granted any more, and these events say so. */
  lose(reason: string): QnlEvent[] {
    const events: QnlEvent[] = []
    for (const [remoteSiteId, standing] of this.#demands) {
      if (standing.grantedBps > 0) {
        events.push({ type: 'pair-unserved', remoteSiteId, reason })
        this.#lost.add(remoteSiteId)
      }
      standing.grantedBps = 0
    }
    return events
  }

  /** What the QNL grants to a demand that was said again, and the event for it. */
  regain(remoteSiteId: string, { rateBps }: DemandGrant): QnlEvent[] {
    const standing = this.#demands.get(remoteSiteId)
    if (standing === undefined || standing.grantedBps >= rateBps) return []
    standing.grantedBps = rateBps
    this.#lost.delete(remoteSiteId)
    return [{ type: 'restored', remoteSiteId, rateBps }]
  }

  /** Demands whose time went by while the connection was lost leave nothing unserved. */
  expire(): QnlEvent[] {
    this.#dropOld()
    const over = [...this.#lost].filter(remoteSiteId => !this.#demands.has(remoteSiteId))
    for (const remoteSiteId of over) this.#lost.delete(remoteSiteId)
    return over.map(remoteSiteId => ({ type: 'restored', remoteSiteId, rateBps: 0 }))
  }

  /** What to say again: each demand that is still of use, with what is left of its deadline. */
  remaining(): [remoteSiteId: string, demand: Demand][] {
    const nowMs = this.#dropOld()
    return [...this.#demands].map(([remoteSiteId, { demand, untilMs }]) => [
      remoteSiteId,
      demand.deadlineMs === undefined ? demand : { ...demand, deadlineMs: Math.ceil(untilMs - nowMs) },
    ])
  }

  #dropOld(): number {
    const nowMs = performance.now()
    for (const [remoteSiteId, { untilMs }] of [...this.#demands]) {
      if (untilMs <= nowMs) this.#demands.delete(remoteSiteId)
    }
    return nowMs
  }
}
