import { type Chunk, chunkKey, dropWaiting, type Reservation } from './frame.ts'
import type { LinkTraffic, RefusedBecause } from './link-traffic.ts'
import { MIN_CHUNK_BYTES } from './transfer-key.ts'

/** Chunks that are remembered, so that a repeated one goes no further. */
const MAX_SEEN = 65_536

/** Where chunks go on to, and how many may wait. */
export interface TransitOptions {
  /** The link to that neighbour. */
  readonly linkTo: (siteId: string) => LinkTraffic | undefined
  /** Content of other sites' chunks that may wait here, in bytes. */
  readonly maxBytes: number
  /** What a range of the last link begins at the next one; undefined where it is none. */
  readonly onward: (chunk: Chunk) => Reservation | undefined
  readonly onRefused: (reason: RefusedBecause, linkId: string) => void
}

/**
 * What passes through this site on its way between others: in memory alone, bounded, once. A chunk that is lost here is
 * sent again by its source, as another attempt and under new pads all the way.
 */
export class Transit {
  readonly #options: TransitOptions
  readonly #seen = new Set<string>()
  #bytes = 0

  constructor(options: TransitOptions) {
    this.#options = options
  }

  /** Content that passed through so far, in bytes. */
  get bytes(): number {
    return this.#bytes
  }

  /** Sends a chunk on to the next site of its path. */
  forward(chunk: Chunk, fromLinkId: string): void {
    const next = chunk.reserves ? this.#options.onward(chunk) : { ...chunk, hop: chunk.hop + 1 }
    const refused = next === undefined ? 'malformed' : this.#refuse(chunk)
    if (next === undefined || refused !== undefined) {
      chunk.content.wipe()
      this.#options.onRefused(refused ?? 'malformed', fromLinkId)
      return
    }
    this.#remember(chunkKey(chunk))
    this.#bytes += chunk.sizeBytes
    if (!this.#options.linkTo(chunk.path[chunk.hop + 1]!)!.enqueue(next)) dropWaiting(next)
  }

  #refuse(chunk: Chunk): RefusedBecause | undefined {
    const { linkTo, maxBytes } = this.#options
    const link = linkTo(chunk.path[chunk.hop + 1]!)
    if (link === undefined) return 'no such link'
    if (this.#seen.has(chunkKey(chunk))) return 'repeated'
    // Chunks next to empty fill the memory as well, with their headers.
    const isFull = link.queuedBytes + chunk.sizeBytes > maxBytes || link.queuedChunks >= maxBytes / MIN_CHUNK_BYTES
    return isFull ? 'no room' : undefined
  }

  #remember(key: string): void {
    this.#seen.add(key)
    if (this.#seen.size > MAX_SEEN) this.#seen.delete(this.#seen.values().next().value!)
  }
}
