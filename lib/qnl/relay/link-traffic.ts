import { oneTimeTag, verifyOneTimeTag } from '../../key/one-time-pad.ts'
import { copyPad, cutPad, hideUnderPad, type PadPiece, showUnderPad, wipePad } from '../../key/pad.ts'
import type { SecretKey } from '../../key/secret-key.ts'
import { FairQueue } from './fair-queue.ts'
import {
  type Chunk,
  type ChunkId,
  decodeFrame,
  dropWaiting,
  encodeFrameHeader,
  FRAME_KEY_BYTES,
  type OpenFrame,
  type Reservation,
  type Waiting,
} from './frame.ts'
import type { LinkPool } from './link-pool.ts'

/** Content of one frame at most: small chunks share a tag and its key, large ones have one each. */
const FRAME_BYTES = 49_152
const FRAME_CHUNKS = 64

/** Why a frame or a chunk was thrown away. */
export type RefusedBecause =
  | 'malformed'
  | 'out of order'
  | 'unknown pad'
  | 'spent pad'
  | 'wrong tag'
  | 'not from that site'
  | 'no such link'
  | 'repeated'
  | 'unannounced'
  | 'altered'
  | 'no room'
  | 'too old'

/** The key to send with, and whom to tell of what comes. */
export interface LinkTrafficOptions {
  readonly pool: LinkPool
  /** Sends a frame to the other end; resolves when there is room for the next. */
  readonly send: (frame: Uint8Array) => Promise<void>
  /** A chunk has left this site; its content is wiped. */
  readonly onSent: (chunk: ChunkId) => void
  /** A chunk has come, authenticated; whoever is called owns its content. */
  readonly onChunk: (chunk: Chunk) => void
  readonly onRefused: (reason: RefusedBecause) => void
}

/**
 * What goes over one link: chunks that wait for pads go out in frames, frames that come in are checked and opened. Each
 * frame has pads and a tag key of its own; none is ever sent again, because a chunk that is lost starts anew at its
 * source (rule L2).
 */
export class LinkTraffic {
  readonly pool: LinkPool
  readonly #options: LinkTrafficOptions
  readonly #queue = new FairQueue()
  #sentSequence = 0n
  #heardSequence = 0n
  #running = false
  #up = false

  constructor(options: LinkTrafficOptions) {
    this.pool = options.pool
    this.#options = options
  }

  /** Content that waits for pads, in bytes. */
  get queuedBytes(): number {
    return this.#queue.sizeBytes
  }

  /** Chunks that wait for pads. */
  get queuedChunks(): number {
    return this.#queue.length
  }

  /** Takes a chunk, or a reservation, over and sends it when it is its turn. False where it waits already. */
  enqueue(chunk: Waiting): boolean {
    if (!this.#queue.push(chunk)) return false
    this.wake()
    return true
  }

  /** Throws away what `picks` chooses of what waits; gives how many chunks that were. */
  discard(picks: (chunk: Waiting) => boolean): number {
    const removed = this.#queue.remove(picks)
    for (const waiting of removed) dropWaiting(waiting)
    return removed.length
  }

  /** A connection is there: frames are numbered anew. */
  begin(): void {
    this.#sentSequence = 0n
    this.#heardSequence = 0n
    this.#up = true
  }

  end(): void {
    this.#up = false
  }

  /** There may be something to send, or key to send it with. */
  wake(): void {
    this.pool.want(this.#queue.sizeBytes)
    if (this.#running) return
    this.#running = true
    void this.#run().finally(() => {
      this.#running = false
    })
  }

  /** Takes a frame from the other end. */
  receive(bytes: Uint8Array): void {
    const chunks = this.#open(bytes)
    if (typeof chunks === 'string') this.#options.onRefused(chunks)
    else for (const chunk of chunks) this.#options.onChunk(chunk)
  }

  #open(bytes: Uint8Array): Chunk[] | RefusedBecause {
    let frame: OpenFrame
    try {
      frame = decodeFrame(bytes)
    } catch {
      return 'malformed'
    }
    const { ranges, chunks, hidden, tagged, tag, sequence } = frame
    const { pool } = this
    const pad = pool.receiveLane.find(ranges)
    if (pad === 'spent') return 'spent pad'
    if (pad === 'unknown') return 'unknown pad'
    const [keyPad, restPad] = cutPad(pad, FRAME_KEY_BYTES)
    // The pad is wiped only for a valid frame: whoever sends others must not burn key.
    if (!verifyOneTimeTag(copyPad(keyPad), [tagged], tag)) {
      pool.forged(ranges)
      return 'wrong tag'
    }
    // The sender's own number, under its tag: older ones never come on a channel that keeps the order.
    if (sequence <= this.#heardSequence) return 'out of order'
    this.#heardSequence = sequence
    wipePad(keyPad)
    const [contentPad, reservedPad] = cutPad(restPad, hidden.byteLength)
    const sizesOf = (reserved: boolean) =>
      chunks.filter(({ reserves }) => reserves === reserved).map(({ sizeBytes }) => sizeBytes)
    const contents = [...showUnderPad(hidden, contentPad, sizesOf(false)), ...takeRanges(reservedPad, sizesOf(true))]
    pool.receiveLane.spend(ranges)
    const { remoteSiteId, link } = pool
    const weak = link.status().secrecy === 'computational'
    const sinceMs = performance.now()
    const opened = chunks.map((header, i) => ({ ...header, weak: header.weak || weak, content: contents[i]!, sinceMs }))
    const local = link.localSiteId
    const isOurs = ({ path, hop }: Chunk) => path[hop] === local && path[hop - 1] === remoteSiteId
    if (opened.every(isOurs)) return opened
    for (const { content } of opened) content.wipe()
    return 'not from that site'
  }

  async #run(): Promise<void> {
    while (this.#up && this.pool.up) {
      const frame = this.#nextFrame()
      if (frame === undefined) return
      await this.#options.send(frame.bytes)
      for (const chunk of frame.chunks) this.#options.onSent(chunk)
      this.pool.want(this.#queue.sizeBytes)
    }
  }

  #nextFrame(): { readonly bytes: Uint8Array; readonly chunks: readonly ChunkId[] } | undefined {
    const chunks: Chunk[] = []
    const reservations: Reservation[] = []
    let room = Math.min(FRAME_BYTES, this.pool.sendLane.sizeBytes - FRAME_KEY_BYTES)
    let contentBytes = 0
    while (chunks.length + reservations.length < FRAME_CHUNKS) {
      const waiting = this.#queue.take(room)
      if (waiting === undefined) break
      room -= waiting.sizeBytes
      if ('content' in waiting) {
        chunks.push(waiting)
        contentBytes += waiting.sizeBytes
      } else reservations.push(waiting)
    }
    const all = [...chunks, ...reservations]
    if (all.length === 0) return undefined
    const sizeBytes = all.reduce((sum, waiting) => sum + waiting.sizeBytes, 0)
    const { ranges, pieces } = this.pool.sendLane.draw(FRAME_KEY_BYTES + sizeBytes)!
    const [keyPad, restPad] = cutPad(pieces, FRAME_KEY_BYTES)
    const [contentPad, reservedPad] = cutPad(restPad, contentBytes)
    const key = copyPad(keyPad)
    wipePad(keyPad)
    this.#sentSequence += 1n
    const header = encodeFrameHeader({ linkId: this.pool.linkId, sequence: this.#sentSequence, ranges, chunks: all })
    const hidden = hideUnderPad(
      chunks.map(({ content }) => content),
      contentPad,
    )
    for (const { content } of chunks) content.wipe()
    const reserved = takeRanges(
      reservedPad,
      reservations.map(each => each.sizeBytes),
    )
    for (const [i, range] of reserved.entries()) reservations[i]!.onRange(range)
    const tagged = Buffer.concat([header, hidden])
    return { bytes: Buffer.concat([tagged, oneTimeTag(key, [tagged])]), chunks: all }
  }
}

/** The pad as ranges of these sizes, which the caller owns. The pad is wiped: it is no pad any more. */
function takeRanges(pad: readonly PadPiece[], sizesBytes: readonly number[]): SecretKey[] {
  let rest = [...pad]
  const ranges = sizesBytes.map(sizeBytes => {
    const [piece, others] = cutPad(rest, sizeBytes)
    rest = others
    return copyPad(piece)
  })
  wipePad(pad)
  return ranges
}
