import type { ListedSa } from '../vici/commands.ts'

/** Bytes and packets, both directions together. */
export interface Traffic {
  readonly bytes: number
  readonly packets: number
}

/** Adds up what a connection carried, although charon counts each CHILD_SA from zero and rekeys them. */
export class TrafficMeter {
  readonly #last = new Map<string, Traffic>()
  #bytes = 0
  #packets = 0

  /** Since the last `reset()`. */
  get total(): Traffic {
    return { bytes: this.#bytes, packets: this.#packets }
  }

  /** Counts on from what charon lists now. */
  read(sas: readonly ListedSa[]): Traffic {
    const children = sas.flatMap(sa => sa.children)
    for (const { uniqueId, bytesIn, bytesOut, packetsIn, packetsOut } of children) {
      const last = this.#last.get(uniqueId) ?? { bytes: 0, packets: 0 }
      const now = { bytes: bytesIn + bytesOut, packets: packetsIn + packetsOut }
      this.#bytes += Math.max(0, now.bytes - last.bytes)
      this.#packets += Math.max(0, now.packets - last.packets)
      this.#last.set(uniqueId, now)
    }
    const listed = new Set(children.map(({ uniqueId }) => uniqueId))
    for (const uniqueId of this.#last.keys()) if (!listed.has(uniqueId)) this.#last.delete(uniqueId)
    return this.total
  }

  /** A new key is in use: counts from zero, on children of its own. */
  reset(): void {
    this.#bytes = 0
    this.#packets = 0
    this.#last.clear()
  }
}
