import type { QnlEvent } from '../interface/qnl.ts'

/** A change by less than this part of the rate is no news: link rates are measured, and measures waver. */
const WAVERING = 0.01

/** A pair whose grant has changed by itself. Rates in bits per second. */
export interface ChangedGrant {
  readonly remoteSiteId: string
  readonly askedBps: number
  readonly rateBps: number
  readonly wasBps: number
  /** Why there is none, where there is none. */
  readonly reason: string
}

/** What a KMS is told when grants change under a demand that stands: each change against what it was told last. */
export class RateNews {
  readonly #told = new Map<string, number>()
  /** Pairs of which the last thing told was that they get less. */
  readonly #short = new Set<string>()

  /** The event that says it, or undefined where there is no news. */
  of({ remoteSiteId, askedBps, rateBps, wasBps: before, reason }: ChangedGrant): QnlEvent | undefined {
    const wasBps = this.#told.get(remoteSiteId) ?? before
    const wavers = rateBps > 0 && Math.abs(rateBps - wasBps) < WAVERING * wasBps
    const isWhole = this.#short.has(remoteSiteId) && rateBps >= askedBps
    if (!isWhole && (rateBps === wasBps || wavers)) return undefined
    this.#told.set(remoteSiteId, rateBps)
    if (isWhole || rateBps > wasBps) {
      this.#short.delete(remoteSiteId)
      return { type: 'restored', remoteSiteId, rateBps }
    }
    this.#short.add(remoteSiteId)
    if (rateBps === 0) return { type: 'pair-unserved', remoteSiteId, reason }
    return { type: 'rate-drop', remoteSiteId, rateBps, wasBps }
  }

  /**
   * A new demand is answered with its grant, both in bits per second: that is what the KMS knows then. The event says that a
   * pair which had too little gets all that it asks for now, be it because it asks for less.
   */
  answered(remoteSiteId: string, { askedBps, rateBps }: { askedBps: number; rateBps: number }): QnlEvent | undefined {
    this.#told.delete(remoteSiteId)
    if (rateBps < askedBps || !this.#short.delete(remoteSiteId)) return undefined
    return { type: 'restored', remoteSiteId, rateBps }
  }
}
