import type { QnlEvent } from '../interface/qnl.ts'

/** A change by less than this part of the rate is no news: link rates are measured, and measures waver. */
const WAVERING = 0.01

/** A pair whose grant has changed by itself. Rates in bits per second. */
export interface ChangedGrant {
  readonly remoteSiteId: string
  readonly rateBps: number
  readonly wasBps: number
  /** Why there is none, where there is none. */
  readonly reason: string
}

/** What a KMS is told when grants change under a demand that stands: each change against what it was told last. */
export class RateNews {
  readonly #told = new Map<string, number>()

  /** The event that says it, or undefined where there is no news. */
  of({ remoteSiteId, rateBps, wasBps: before, reason }: ChangedGrant): QnlEvent | undefined {
    const wasBps = this.#told.get(remoteSiteId) ?? before
    if (rateBps === wasBps || (rateBps > 0 && Math.abs(rateBps - wasBps) < WAVERING * wasBps)) return undefined
    this.#told.set(remoteSiteId, rateBps)
    if (rateBps === 0) return { type: 'pair-unserved', remoteSiteId, reason }
    return rateBps < wasBps
      ? { type: 'rate-drop', remoteSiteId, rateBps, wasBps }
      : { type: 'restored', remoteSiteId, rateBps }
  }

  /** A new demand is answered with its grant: that is what the KMS knows then. */
  forget(remoteSiteId: string): void {
    this.#told.delete(remoteSiteId)
  }
}
