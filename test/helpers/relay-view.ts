import type { LoggedFrame } from './frame-log.ts'

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
