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

  /** Records what the QNL granted, in place of the last demand; a rate of 0 only withdraws that. */
  record(remoteSiteId: string, demand: Demand, { rateBps }: DemandGrant): void {
    this.#demands.delete(remoteSiteId)
    if (demand.rateBps === 0) return
    const untilMs = performance.now() + (demand.deadlineMs ?? Number.POSITIVE_INFINITY)
    this.#demands.set(remoteSiteId, { demand, untilMs, grantedBps: rateBps })
  }

  /** Follows what the QNL says of a grant. */
  note(event: QnlEvent): void {
    const standing = this.#demands.get(event.remoteSiteId)
    if (standing === undefined || event.type === 'link-down') return
    standing.grantedBps = event.type === 'pair-unserved' ? 0 : event.rateBps
  }

  /** The connection is lost: nothing is granted any more, and these events say so. */
  lose(reason: string): QnlEvent[] {
    const events: QnlEvent[] = []
    for (const [remoteSiteId, standing] of this.#demands) {
      if (standing.grantedBps > 0) events.push({ type: 'pair-unserved', remoteSiteId, reason })
      standing.grantedBps = 0
    }
    return events
  }

  /** What the QNL grants to a demand that was said again, and the event for it. */
  regain(remoteSiteId: string, { rateBps }: DemandGrant): QnlEvent[] {
    const standing = this.#demands.get(remoteSiteId)
    if (standing === undefined || standing.grantedBps >= rateBps) return []
    standing.grantedBps = rateBps
    return [{ type: 'restored', remoteSiteId, rateBps }]
  }

  /** What to say again: each demand that is still of use, with what is left of its deadline. */
  remaining(): [remoteSiteId: string, demand: Demand][] {
    const nowMs = performance.now()
    for (const [remoteSiteId, { untilMs }] of [...this.#demands]) {
      if (untilMs <= nowMs) this.#demands.delete(remoteSiteId)
    }
    return [...this.#demands].map(([remoteSiteId, { demand, untilMs }]) => [
      remoteSiteId,
      demand.deadlineMs === undefined ? demand : { ...demand, deadlineMs: Math.ceil(untilMs - nowMs) },
    ])
  }
}
