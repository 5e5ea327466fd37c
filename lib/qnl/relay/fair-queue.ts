import { chunkKey, type Waiting } from './frame.ts'

/** Bytes that a flow of weight 256 may send in one round. */
const QUANTUM_BYTES = 4096

interface Flow {
  readonly chunks: Waiting[]
  deficit: number
  quantum: number
}

/**
 * What waits for one link, by weighted deficit round robin (Shreedhar and Varghese, 1995): each pair and class of traffic
 * has a line of its own, and in each round sends bytes by its weight, whatever the sizes of its chunks.
 */
export class FairQueue {
  readonly #flows = new Map<string, Flow>()
  readonly #keys = new Set<string>()
  #sizeBytes = 0

  /** Content that waits, in bytes. */
  get sizeBytes(): number {
    return this.#sizeBytes
  }

  /** Chunks that wait. */
  get length(): number {
    return this.#keys.size
  }

  /** False where the same chunk waits already. */
  push(chunk: Waiting): boolean {
    const key = chunkKey(chunk)
    if (this.#keys.has(key)) return false
    this.#keys.add(key)
    this.#sizeBytes += chunk.sizeBytes
    const name = `${chunk.source}\n${chunk.dest}\n${chunk.weight}`
    const flow = this.#flows.get(name)
    if (flow !== undefined) flow.chunks.push(chunk)
    else
      this.#flows.set(name, {
        chunks: [chunk],
        deficit: 0,
        quantum: (QUANTUM_BYTES * Math.max(16, chunk.weight)) / 256,
      })
    return true
  }

  /** The next chunk if it has at most so many bytes; undefined where nothing waits, or the next is larger. */
  take(maxBytes: number): Waiting | undefined {
    for (;;) {
      const head = this.#flows.entries().next()
      if (head.done === true) return undefined
      const [name, flow] = head.value
      const chunk = flow.chunks[0]!
      if (flow.deficit >= chunk.sizeBytes) {
        if (chunk.sizeBytes > maxBytes) return undefined
        flow.chunks.shift()
        flow.deficit -= chunk.sizeBytes
        this.#keys.delete(chunkKey(chunk))
        this.#sizeBytes -= chunk.sizeBytes
        // Who has nothing to send saves up nothing.
        if (flow.chunks.length === 0) this.#flows.delete(name)
        return chunk
      }
      flow.deficit += flow.quantum
      // To the end of the round: a map keeps the order of insertion.
      this.#flows.delete(name)
      this.#flows.set(name, flow)
    }
  }

  /** Takes everything out that `picks` chooses. */
  remove(picks: (chunk: Waiting) => boolean): Waiting[] {
    const removed: Waiting[] = []
    for (const [name, flow] of [...this.#flows]) {
      const kept = flow.chunks.filter(chunk => !picks(chunk))
      removed.push(...flow.chunks.filter(chunk => picks(chunk)))
      if (kept.length === 0) this.#flows.delete(name)
      else flow.chunks.splice(0, flow.chunks.length, ...kept)
    }
    for (const chunk of removed) {
      this.#keys.delete(chunkKey(chunk))
      this.#sizeBytes -= chunk.sizeBytes
    }
    return removed
  }
}
