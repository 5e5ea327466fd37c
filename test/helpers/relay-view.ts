import type { LoggedFrame, LoggedJoint } from './frame-log.ts'

/** Bytes of the key that authenticates a frame, at the beginning of its pads. */
const TAG_KEY_BYTES = 32

/** A sum of unknown bytes that somebody knows the value of: the names of those that are in it. */
export type Equation = ReadonlySet<string>

/** One byte of one key: its shares are the unknowns. */
export interface KeyByte {
  readonly source: string
  readonly dest: string
  readonly transfer: bigint
  readonly shares: number
  /** Place in the material. */
  readonly at: number
}

/** The sum of all shares at that place: what nobody but the ends may know. */
export function keyEquation({ source, dest, transfer, shares, at }: KeyByte): Equation {
  return new Set(Array.from({ length: shares }, (_, share) => shareName(source, dest, transfer, share, at)))
}

/**
 * All that the relays `held` and whoever reads every message know of the bytes at these places: each ciphertext byte is a
 * share's byte XOR a pad's, and the pads of a relay's own links are known to it. Each byte of pad is an unknown of its own,
 * so one that was used twice joins two equations, as it does for an attacker.
 */
export function viewOf(
  held: readonly string[],
  frames: readonly LoggedFrame[],
  { chunkBytes, places }: { chunkBytes: number; places: readonly number[] },
): Equation[] {
  const known: Equation[] = []
  for (const frame of frames) {
    const pads = padNames(frame)
    const ofRelay = held.includes(frame.from) || held.includes(frame.to)
    let at = TAG_KEY_BYTES
    for (const { source, dest, transfer, share, chunk, sizeBytes } of frame.chunks) {
      for (const place of places) {
        const inChunk = place - chunk * chunkBytes
        if (inChunk < 0 || inChunk >= sizeBytes) continue
        const pad = pads(at + inChunk)
        known.push(new Set([shareName(source, dest, transfer, share, place), pad]))
        if (ofRelay) known.push(new Set([pad]))
      }
      at += sizeBytes
    }
  }
  return known
}

/** Bytes of an announced block with its tags, and of the key of a relay's tag that follows in a range. */
const ANNOUNCED_BYTES = 32_064
const JOINT_KEY_BYTES = 32

/** A byte of an announced key: it is a byte of the range of the first link. */
export function announcedEquation(
  frames: readonly LoggedFrame[],
  { transfer, at }: { transfer: bigint; at: number },
): Equation {
  return new Set([rangeByte(frames, transfer, 1)(at)])
}

/**
 * The same for relays that announce: each byte of an announcement is the XOR of a byte of two links' ranges, the bytes that
 * carry tag keys included, and all key of a held relay's links is known.
 */
export function jointView(
  held: readonly string[],
  log: {
    readonly frames: readonly LoggedFrame[]
    readonly joints: readonly LoggedJoint[]
    readonly places: readonly number[]
  },
): Equation[] {
  const known: Equation[] = []
  for (const { transfer, path, place } of log.joints) {
    const [before, after] = [rangeByte(log.frames, transfer, place), rangeByte(log.frames, transfer, place + 1)]
    const ofTags = Array.from({ length: JOINT_KEY_BYTES * (place - 1) }, (_, at) => ANNOUNCED_BYTES + at)
    for (const at of [...log.places, ...ofTags]) {
      const pads = [before(at), after(at < ANNOUNCED_BYTES ? at : at + JOINT_KEY_BYTES)]
      known.push(new Set(pads))
      if (held.includes(path[place]!)) known.push(...pads.map(pad => new Set([pad])))
    }
  }
  return known
}

/** The names of the bytes of the range that a link of a transfer's path has reserved, counted from 1. */
function rangeByte(frames: readonly LoggedFrame[], transfer: bigint, link: number): (at: number) => string {
  for (const frame of frames) {
    let before = TAG_KEY_BYTES
    for (const chunk of frame.chunks) {
      const isIt = chunk.reserves && chunk.transfer === transfer && chunk.path[link - 1] === frame.from
      const from = before
      before += chunk.sizeBytes
      if (isIt) return at => padNames(frame)(from + at)
    }
  }
  throw new Error(`No range of link ${link} for block ${transfer}`)
}

/** Rank over GF(2) of sums of unknowns. */
export function rankOf(equations: readonly Equation[]): number {
  const reduced = new Map<string, Set<string>>()
  for (const equation of equations) {
    const rest = new Set(equation)
    for (let pivot = firstKnown(rest, reduced); pivot !== undefined; pivot = firstKnown(rest, reduced)) {
      for (const name of reduced.get(pivot)!) if (!rest.delete(name)) rest.add(name)
    }
    const [pivot] = rest
    if (pivot === undefined) continue
    for (const row of reduced.values()) {
      if (row.has(pivot)) for (const name of rest) if (!row.delete(name)) row.add(name)
    }
    reduced.set(pivot, rest)
  }
  return reduced.size
}

function firstKnown(rest: ReadonlySet<string>, reduced: ReadonlyMap<string, unknown>): string | undefined {
  for (const name of rest) if (reduced.has(name)) return name
  return undefined
}

function shareName(source: string, dest: string, transfer: bigint, share: number, at: number): string {
  return `share ${source} ${dest} ${transfer} ${share} ${at}`
}

/** The name of each byte of a frame's pads. */
function padNames({ linkId, ranges }: LoggedFrame): (at: number) => string {
  return at => {
    let left = at
    for (const { number, from, sizeBytes } of ranges) {
      if (left < sizeBytes) return `pad ${linkId} ${number} ${from + left}`
      left -= sizeBytes
    }
    throw new Error(`A frame without a pad for byte ${at}`)
  }
}
