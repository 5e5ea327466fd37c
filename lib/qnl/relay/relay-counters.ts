import type { Telemetry } from '../../interface/telemetry.ts'
import type { RefusedBecause } from './link-traffic.ts'

/** Key that was destroyed unused, and what came in and was thrown away: what a site must be able to tell of itself. */
export class RelayCounters {
  readonly #telemetry: Telemetry | undefined
  readonly #refused = new Map<RefusedBecause, number>()
  readonly #burned = new Map<string, number>()

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
  }
}
