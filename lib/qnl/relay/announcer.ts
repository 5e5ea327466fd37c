import type { Chunk, Reservation } from './frame.ts'
import { type JointContext, joinRanges, rangeBytes } from './joint.ts'
import type { RefusedBecause } from './link-traffic.ts'
import type { PartnerLine } from './partner-line.ts'
import { encodeRelayMessage, type RelayMessage } from './relay-wire.ts'

type JointMessage = Extract<RelayMessage, { type: 'joint' }>

/** Where announcements go. */
export interface AnnouncerOptions {
  readonly siteId: string
  readonly lineTo: (siteId: string) => PartnerLine | undefined
  /** Announcements that may wait for their connections here, in bytes. */
  readonly maxBytes: number
  readonly onRefused: (reason: RefusedBecause, siteId: string) => void
}

/** A relay's part in announced blocks: says how the ranges of its two links differ, and passes on what others say. */
export class Announcer {
  readonly #options: AnnouncerOptions
  #waitingBytes = 0

  constructor(options: AnnouncerOptions) {
    this.#options = options
  }

  /** The next link's reservation for a block whose range on the last link has come; undefined where that has a wrong size. */
  onward(chunk: Chunk): Reservation | undefined {
    const { content: before, hop, source, dest, transfer, path } = chunk
    if (chunk.sizeBytes !== rangeBytes(hop)) return undefined
    const { content, ...header } = chunk
    return {
      ...header,
      reserves: true,
      hop: hop + 1,
      sizeBytes: rangeBytes(hop + 1),
      onRange: after => {
        const context: JointContext = { source, dest, transfer, path, place: hop }
        this.#send({ type: 'joint', ...context, ...joinRanges(before, after, context) }, hop)
      },
      onDropped: () => before.wipe(),
    }
  }

  /** Passes another relay's announcement on, one that came from the site before this one on its path. */
  forward(message: JointMessage, fromSiteId: string): void {
    const { path, place } = message
    const here = path.indexOf(this.#options.siteId)
    const comesAlong = here > place && here < path.length - 1 && path[here - 1] === fromSiteId
    if (!comesAlong || new Set(path).size !== path.length) this.#options.onRefused('not from that site', fromSiteId)
    else this.#send(message, here)
  }

  /** To the destination where this site has a connection to it, or else on to the next site. */
  #send(message: JointMessage, here: number): void {
    const { lineTo, maxBytes, onRefused } = this.#options
    const { dest, path } = message
    const line = [dest, path[here + 1]!].map(lineTo).find(each => each?.up === true)
    const bytes = encodeRelayMessage(message)
    if (line === undefined || this.#waitingBytes + bytes.byteLength > maxBytes) {
      onRefused(line === undefined ? 'no such link' : 'no room', dest)
      return
    }
    this.#waitingBytes += bytes.byteLength
    void line.sendBytes(bytes).finally(() => {
      this.#waitingBytes -= bytes.byteLength
    })
  }
}
