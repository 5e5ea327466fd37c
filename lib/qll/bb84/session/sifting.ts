import { ProtocolError } from '../../../errors.ts'
import { type PulseRecords, STATE_BIT, STATE_CHECK_BASIS, STATE_INTENSITY_SHIFT } from '../photons/records.ts'

/** Clicks that one announcement holds at most, so that it stays well below the largest message of a channel. */
export const CLICKS_PER_MESSAGE = 1 << 17

/** A gap takes two bytes, the lower one first; one that has no place there is a mark, and stands in four at the end. */
const GAP_BYTES = 2
const LONG_GAP = 0xffff
const LONG_GAP_BYTES = 4
const COUNT_BYTES = 4

/**
 * What Bob says of his clicks `from` to `to`: how many they are, their bases, the bits of those in the check basis, and
 * when they were. Bits of the key basis stay with him. Gaps of one size are more bytes than the fewest, and much faster:
 * how long the next one is could not be guessed.
 */
export function announceClicks({ gaps, states }: PulseRecords, from: number, to: number): Buffer {
  const count = to - from
  const basesEnd = COUNT_BYTES + Math.ceil(count / 8)
  const long: number[] = []
  for (let i = from; i < to; i++) if (gaps[i]! >= LONG_GAP) long.push(gaps[i]!)
  const out = Buffer.alloc(basesEnd + Math.ceil(count / 8) + count * GAP_BYTES + long.length * LONG_GAP_BYTES)
  out.writeUInt32BE(count, 0)
  let checks = 0
  let bases = 0
  for (let i = 0; i < count; i++) {
    const state = states[from + i]!
    // Which basis it was is a coin's: no branch could guess it.
    const check = (state & STATE_CHECK_BASIS) >>> 1
    bases |= check << (i & 7)
    if ((i & 7) === 7) {
      out[COUNT_BYTES + (i >>> 3)] = bases
      bases = 0
    }
    out[basesEnd + (checks >>> 3)]! |= (state & check) << (checks & 7)
    checks += check
  }
  if ((count & 7) !== 0) out[basesEnd - 1] = bases
  let at = basesEnd + Math.ceil(checks / 8)
  for (let i = from; i < to; i++) {
    const gap = Math.min(gaps[i]!, LONG_GAP)
    out[at] = gap
    out[at + 1] = gap >>> 8
    at += GAP_BYTES
  }
  for (const gap of long) at = out.writeUInt32BE(gap, at)
  return out.subarray(0, at)
}

/** Alice's share of sifting: compares Bob's announcements with what she prepared. */
export class Sifting {
  /** Clicks by intensity where both sides used the check basis. */
  readonly checkCounts: [number, number, number] = [0, 0, 0]
  /** Wrong ones among them. */
  readonly checkErrors: [number, number, number] = [0, 0, 0]
  readonly #prepared: PulseRecords
  readonly #bits: Uint32Array
  readonly #intensities: Uint8Array
  readonly #keep: Uint8Array
  #keyClicks = 0
  #keyBits = 0
  #next = 0
  #ownPulse = 0
  #pulse = 0

  constructor(prepared: PulseRecords) {
    this.#prepared = prepared
    this.#bits = new Uint32Array(Math.ceil(prepared.gaps.length / 32))
    this.#intensities = new Uint8Array(prepared.gaps.length)
    this.#keep = new Uint8Array(Math.ceil(prepared.gaps.length / 8))
  }

  /**
   * Takes the next announcement; they come in order.
   * @throws {ProtocolError} it is malformed, or names a pulse that was not prepared
   */
  take(announcement: Uint8Array): void {
    const { count, basesEnd, gapsFrom } = layoutOf(announcement)
    const states = this.#match(announcement, gapsFrom, count)
    const [bits, intensities, keep] = [this.#bits, this.#intensities, this.#keep]
    let [keyBits, keyClicks, checks] = [this.#keyBits, this.#keyClicks, 0]
    // The word and the byte that are being filled, for each step would wait for the last one's way through memory.
    let word = bits[keyBits >>> 5] ?? 0
    let kept = keep[keyClicks >>> 3] ?? 0
    for (let i = 0; i < count; i++) {
      const state = states[i]!
      const ownCheck = (state & STATE_CHECK_BASIS) >>> 1
      const check = (announcement[COUNT_BYTES + (i >>> 3)]! >>> (i & 7)) & 1
      if ((ownCheck & check) === 1) this.#count(state, announcement[basesEnd + (checks >>> 3)]! >>> (checks & 7))
      checks += check
      // Counted up only where it is key, and else overwritten: no branch could guess the bases.
      const isKey = (ownCheck | check) ^ 1
      word |= (state & isKey) << (keyBits & 31)
      intensities[keyBits] = state >>> STATE_INTENSITY_SHIFT
      bits[keyBits >>> 5] = word
      keyBits += isKey
      if ((keyBits & 31) === 0) word = bits[keyBits >>> 5] ?? 0
      const isClick = check ^ 1
      kept |= (isKey & isClick) << (keyClicks & 7)
      keep[keyClicks >>> 3] = kept
      keyClicks += isClick
      if ((keyClicks & 7) === 0) kept = keep[keyClicks >>> 3] ?? 0
    }
    states.fill(0)
    this.#keyBits = keyBits
    this.#keyClicks = keyClicks
  }

  /** One bit for each of Bob's clicks in the key basis, lowest first: set where it becomes key. */
  get keep(): Uint8Array {
    return this.#keep.subarray(0, Math.ceil(this.#keyClicks / 8))
  }

  /** Alice's sifted key, 32 bits to a word, lowest first. The words are hers to overwrite. */
  get key(): SiftedKey {
    return { words: this.#bits, sizeBits: this.#keyBits, intensities: this.#intensities }
  }

  /** What was prepared for each of the announced clicks. */
  #match(announcement: Uint8Array, gapsFrom: number, count: number): Uint8Array {
    const { gaps, states } = this.#prepared
    const matched = new Uint8Array(count)
    let [at, next, ownPulse, pulse] = [gapsFrom, this.#next, this.#ownPulse, this.#pulse]
    let longAt = gapsFrom + count * GAP_BYTES
    const view = new DataView(announcement.buffer, announcement.byteOffset, announcement.byteLength)
    if (longAt > announcement.byteLength) throw malformed()
    for (let i = 0; i < count; i++, at += GAP_BYTES) {
      let gap = announcement[at]! | (announcement[at + 1]! << 8)
      if (gap === LONG_GAP) {
        if (longAt + LONG_GAP_BYTES > announcement.byteLength) throw malformed()
        gap = view.getUint32(longAt)
        longAt += LONG_GAP_BYTES
      }
      pulse += gap
      while (ownPulse < pulse && next < gaps.length) ownPulse += gaps[next++]!
      if (gap === 0 || ownPulse !== pulse) {
        throw new ProtocolError('A click was announced for a pulse that was not prepared')
      }
      matched[i] = states[next - 1]!
    }
    if (longAt !== announcement.byteLength) throw malformed()
    this.#next = next
    this.#ownPulse = ownPulse
    this.#pulse = pulse
    return matched
  }

  #count(state: number, bit: number): void {
    const intensity = (state >>> STATE_INTENSITY_SHIFT) as 0 | 1 | 2
    this.checkCounts[intensity]++
    if (((state ^ bit) & STATE_BIT) !== 0) this.checkErrors[intensity]++
  }
}

function malformed(): ProtocolError {
  return new ProtocolError('An announcement of clicks is malformed')
}

/** Where the parts of an announcement are; all but the gaps are within its bounds. */
function layoutOf(announcement: Uint8Array): { count: number; basesEnd: number; gapsFrom: number } {
  if (announcement.byteLength < COUNT_BYTES) throw malformed()
  const count = new DataView(announcement.buffer, announcement.byteOffset).getUint32(0)
  const basesEnd = COUNT_BYTES + Math.ceil(count / 8)
  if (count > CLICKS_PER_MESSAGE || basesEnd > announcement.byteLength) throw malformed()
  let checks = 0
  for (let at = COUNT_BYTES; at < basesEnd; at++) {
    for (let bits = announcement[at]!; bits !== 0; bits &= bits - 1) checks++
  }
  // Bits behind the last click are clear, or they would be counted.
  if (checks > count) throw malformed()
  return { count, basesEnd, gapsFrom: basesEnd + Math.ceil(checks / 8) }
}

/** One side's bits after sifting. */
export interface SiftedKey {
  readonly words: Uint32Array
  readonly sizeBits: number
  /** Alice alone: the intensity (0, 1 or 2) of each bit. */
  readonly intensities?: Uint8Array
}

/**
 * Bob's share of sifting: the bits that Alice said become key.
 * @throws {ProtocolError} her answer has not one bit for each of his clicks in the key basis
 */
export function keepSifted({ states }: PulseRecords, keep: Uint8Array): SiftedKey {
  const words = new Uint32Array(Math.ceil(states.length / 32))
  let [clicks, sizeBits, word] = [0, 0, 0]
  for (let i = 0; i < states.length; i++) {
    const state = states[i]!
    const isClick = ((state & STATE_CHECK_BASIS) >>> 1) ^ 1
    const isKey = isClick & (keep[clicks >>> 3]! >>> (clicks & 7))
    word |= (state & isKey) << (sizeBits & 31)
    words[sizeBits >>> 5] = word
    sizeBits += isKey
    if ((sizeBits & 31) === 0) word = words[sizeBits >>> 5] ?? 0
    clicks += isClick
  }
  if (keep.byteLength !== Math.ceil(clicks / 8)) {
    throw new ProtocolError(`The answer to ${clicks} clicks has ${keep.byteLength} bytes`)
  }
  return { words, sizeBits }
}
