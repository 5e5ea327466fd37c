import { ProtocolError } from '../../../errors.ts'
import type { AbortOptions, Unsubscribe } from '../../../interface/lifecycle.ts'
import { ByteReader, ByteWriter } from '../../../util/bytes.ts'

/** Bits of a state byte: what was sent (Alice) or seen (Bob). */
export const STATE_BIT = 1
/** Set for the check basis, clear for the basis that key is made from. */
export const STATE_CHECK_BASIS = 2
/** Place of the intensity (0 signal, 1 decoy, 2 vacuum) in Alice's states. */
export const STATE_INTENSITY_SHIFT = 2

/**
 * The pulses of one block that clicked, in order of time. A side's devices keep one list each; pulses that did not click
 * are nowhere, for nobody can look at 10^9 of them a second.
 */
export interface PulseRecords {
  /** Number of the block; both sides see each once, ascending. */
  readonly block: bigint
  /** Pulses that Alice sent in the block. */
  readonly pulses: number
  /** Distance of each record to the one before it (the first: to one before the block), in pulses; 1 or more. */
  readonly gaps: Uint32Array
  /** What was sent or seen, by the `STATE_` constants. Overwritten by whoever used it. */
  readonly states: Uint8Array
}

/** One side's end of the devices: Alice's gives what she prepared, Bob's what he detected. */
export interface RecordSource {
  /** The records of the next block. */
  next(options?: AbortOptions): Promise<PulseRecords>
  /**
   * Calls `listener` with the reason when no light comes through any more, and with undefined when it does again. Devices
   * that cannot tell leave it out.
   */
  onLight?(listener: (dark: string | undefined) => void): Unsubscribe
}

/**
 * Records of pulses that were sent one after the other as those of one block. Of a single piece the arrays are taken over;
 * of several the caller overwrites the states.
 */
export function joinRecords(pieces: readonly PulseRecords[], block: bigint): PulseRecords {
  const [only] = pieces
  if (pieces.length === 1) return { ...only!, block }
  const clicks = pieces.reduce((sum, { gaps }) => sum + gaps.length, 0)
  const [gaps, states] = [new Uint32Array(clicks), new Uint8Array(clicks)]
  let [at, pulses, silence] = [0, 0, 0]
  for (const piece of pieces) {
    gaps.set(piece.gaps, at)
    states.set(piece.states, at)
    if (piece.gaps.length > 0) gaps[at]! += silence
    // Pulses behind the last click of the piece count towards the first gap of the next.
    silence = (piece.gaps.length > 0 ? 0 : silence) + piece.pulses - piece.gaps.reduce((sum, gap) => sum + gap, 0)
    at += piece.gaps.length
    pulses += piece.pulses
  }
  return { block, pulses, gaps, states }
}

/** Records as bytes, for devices that run in a process of their own. */
export function encodeRecords({ block, pulses, gaps, states }: PulseRecords): Buffer {
  const header = new ByteWriter().u64(block).u64(BigInt(pulses)).u32(gaps.length).bytes()
  const out = Buffer.allocUnsafeSlow(header.byteLength + gaps.byteLength + states.byteLength)
  header.copy(out)
  let at = header.byteLength
  for (let i = 0; i < gaps.length; i++, at += 4) out.writeUInt32BE(gaps[i]!, at)
  out.set(states, at)
  return out
}

/** @throws {ProtocolError} not what `encodeRecords` gives */
export function decodeRecords(bytes: Uint8Array): PulseRecords {
  const reader = new ByteReader(bytes)
  const block = reader.u64()
  const pulses = Number(reader.u64())
  const count = reader.u32()
  if (reader.remaining !== 5 * count) throw new ProtocolError('Records of photons are cut short or too long')
  const gaps = new Uint32Array(count)
  for (let i = 0; i < count; i++) gaps[i] = reader.u32()
  return { block, pulses, gaps, states: Uint8Array.from(reader.raw(count)) }
}
