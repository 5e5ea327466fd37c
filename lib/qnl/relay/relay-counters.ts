import type { Telemetry } from '../../interface/telemetry.ts'
import type { RefusedBecause } from './link-traffic.ts'

/** Key that was destroyed unused, and what came in and was thrown away: what a site must be able to tell of itself. */
export class RelayCounters {
  readonly #telemetry: Telemetry | undefined
  readonly #refused = new Map<RefusedBecause, number>()
  readonly #burned = new Map<string, number>()
  /** Links on which tags were forged until key had to be burned. */
  readonly #forged = new Set<string>()

  constructor(telemetry: Telemetry | undefined) {
    this.#telemetry = telemetry
  }

  /** Frames and chunks that were thrown away, by reason. */
  get refused(): Readonly<Partial<Record<RefusedBecause, number>>> {
    return Object.fromEntries(this.#refused)
  }

  /** Bytes of link key that were destroyed unused, by reason. */
  get burnedBytes(): Readonly<Record<string, number>> {
    return Object.fromEntries(this.#burned)
  }

  refuse(reason: RefusedBecause, peerSiteId: string): void {
    this.#refused.set(reason, (this.#refused.get(reason) ?? 0) + 1)
    this.#telemetry?.emit({ type: 'relay-refused', peerSiteId, reason })
  }

  burn(bytes: number, reason: string, linkId: string): void {
    this.#burned.set(reason, (this.#burned.get(reason) ?? 0) + bytes)
    this.#telemetry?.emit({ type: 'link-key-burned', linkId, bytes, reason })
    if (reason === 'forged') this.#alarm(linkId, 'raised')
  }

  /** The ends of a link have met anew: what was forged before was on another connection. */
  met(linkId: string): void {
    if (this.#forged.has(linkId)) this.#alarm(linkId, 'cleared')
  }

  #alarm(linkId: string, state: 'raised' | 'cleared'): void {
    if (state === 'raised') this.#forged.add(linkId)
    else this.#forged.delete(linkId)
    this.#telemetry?.emit({
      type: 'alarm',
      id: `link-forged:${linkId}`,
      severity: 'major',
      state,
      text: `Somebody forges messages to this site over link ${linkId}: key of it was burned after 1,024 wrong tags`,
    })
  }
}
