import { readDirectKey, readFrame } from './frame-log.ts'

/** One use of a stretch of link key: as the pad of a frame, or as a key itself. */
export interface PadUse {
  /** Both sites of the link, in order: parallel links between two sites are not supported. */
  readonly link: string
  readonly number: string
  readonly from: number
  readonly to: number
  /** What was encrypted with it, as the head of the SHA-256 of the frame; `key` where it is a key itself. */
  readonly digest: string
}

const BLOCK_BYTES = 32_000

/** The uses of link key in a message between two nodes. */
export function padUses(
  message: Uint8Array,
  from: string,
  to: string,
  digest: (bytes: Uint8Array) => string,
): PadUse[] {
  const link = [from, to].sort().join('-')
  const frame = readFrame(message, from, to)
  if (frame !== undefined) {
    const head = digest(message)
    return frame.ranges.map(range => ({
      link,
      number: `${range.number}`,
      from: range.from,
      to: range.from + range.sizeBytes,
      digest: head,
    }))
  }
  const key = readDirectKey(message, from, to)
  return key === undefined ? [] : [{ link, number: `${key.number}`, from: 0, to: BLOCK_BYTES, digest: 'key' }]
}

/** Bytes of link key that served twice, in either direction, whatever was encrypted with them; all of them should be 0. */
export function bytesUsedTwice(uses: Iterable<PadUse>): number {
  const blocks = new Map<string, PadUse[]>()
  for (const use of uses) {
    const block = `${use.link} ${use.number}`
    const known = blocks.get(block)
    if (known === undefined) blocks.set(block, [use])
    else known.push(use)
  }
  let twice = 0
  for (const all of blocks.values()) {
    let reached = 0
    for (const { from, to } of all.sort((a, b) => a.from - b.from)) {
      twice += Math.max(0, Math.min(reached, to) - from)
      reached = Math.max(reached, to)
    }
  }
  return twice
}
