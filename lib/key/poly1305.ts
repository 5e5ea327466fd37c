import { bytesOf, type SecretKey } from './secret-key.ts'

/** Length of a one-time key: r (16 bytes, clamped here) and s (16 bytes). */
export const POLY1305_KEY_BYTES = 32
export const POLY1305_TAG_BYTES = 16

const LIMB_BITS = 13
const LIMB_MASK = 0x1fff
const LIMBS = 10

/**
 * One-time authenticator (RFC 8439, section 2.5) over the parts one after the other. A key authenticates one message:
 * a second one under the same key gives the key away.
 *
 * Ten limbs of 13 bits, so that every sum of products stays far below 2^53 and plain number arithmetic is exact.
 */
export function poly1305(key: SecretKey, parts: readonly (Uint8Array | SecretKey)[]): Buffer {
  const keyBytes = bytesOf(key)
  const state = createState(clamp(keyBytes.subarray(0, 16)))
  const chunk = new Uint8Array(16)
  let filled = 0
  for (const part of parts) {
    const bytes = part instanceof Uint8Array ? part : bytesOf(part)
    let at = 0
    while (at < bytes.byteLength) {
      const take = Math.min(16 - filled, bytes.byteLength - at)
      for (let i = 0; i < take; i++) chunk[filled + i] = bytes[at + i]!
      filled += take
      at += take
      if (filled === 16) {
        absorb(state, chunk, 1)
        filled = 0
      }
    }
  }
  if (filled > 0) {
    chunk.fill(0, filled)
    chunk[filled] = 1
    absorb(state, chunk, 0)
  }
  const tag = finish(state.h, keyBytes.subarray(16, 32))
  for (const scratch of [...Object.values(state), chunk]) scratch.fill(0)
  return tag
}

interface State {
  readonly h: Float64Array
  /** r, and before it 5 r: `window[10 + i - j]` is the factor of limb j in limb i, folded or not. */
  readonly window: Float64Array
  readonly limbs: Float64Array
  readonly product: Float64Array
}

function createState(r: Uint8Array): State {
  const limbs = new Float64Array(LIMBS)
  toLimbs(r, 0, limbs)
  const window = new Float64Array(2 * LIMBS)
  for (let i = 0; i < LIMBS; i++) {
    window[i] = 5 * limbs[i]!
    window[LIMBS + i] = limbs[i]!
  }
  return { h: new Float64Array(LIMBS), window, limbs, product: new Float64Array(LIMBS) }
}

function clamp(half: Uint8Array): Uint8Array {
  const r = Uint8Array.from(half)
  for (const i of [3, 7, 11, 15]) r[i]! &= 15
  for (const i of [4, 8, 12]) r[i]! &= 252
  return r
}

/** 16 bytes, little-endian, plus `top` as bit 128, cut into limbs. */
function toLimbs(bytes: Uint8Array, top: number, limbs: Float64Array): void {
  let bits = 0
  let have = 0
  let limb = 0
  for (let i = 0; i < 16; i++) {
    bits |= bytes[i]! << have
    have += 8
    if (have >= LIMB_BITS) {
      limbs[limb++] = bits & LIMB_MASK
      bits >>>= LIMB_BITS
      have -= LIMB_BITS
    }
  }
  // 128 = 9 * 13 + 11: the last limb has 11 bits of the chunk, and bit 128 above them.
  limbs[limb] = bits | (top << have)
}

/** h = (h + chunk) * r mod 2^130 - 5, limbs left below 2^14. */
function absorb({ h, window, limbs, product }: State, chunk: Uint8Array, top: number): void {
  toLimbs(chunk, top, limbs)
  for (let i = 0; i < LIMBS; i++) h[i]! += limbs[i]!
  for (let i = 0; i < LIMBS; i++) {
    let sum = 0
    // A product of limbs that lands at 2^130 or above folds back times 5.
    for (let j = 0; j < LIMBS; j++) sum += h[j]! * window[LIMBS + i - j]!
    product[i] = sum
  }
  carry(product, h)
}

/** Brings limbs back to 13 bits each; the carry out of the top folds in at the bottom times 5. */
function carry(from: Float64Array, into: Float64Array): void {
  let over = 0
  for (let i = 0; i < LIMBS; i++) {
    const value = from[i]! + over
    over = Math.floor(value / (LIMB_MASK + 1))
    into[i] = value - over * (LIMB_MASK + 1)
  }
  into[0]! += over * 5
  over = Math.floor(into[0]! / (LIMB_MASK + 1))
  into[0]! -= over * (LIMB_MASK + 1)
  into[1]! += over
}

/** h fully reduced, plus s modulo 2^128, little-endian. */
function finish(h: Float64Array, s: Uint8Array): Buffer {
  const reduced = new Float64Array(LIMBS)
  carry(h, reduced)
  carry(reduced, reduced)
  let value = 0n
  for (let i = LIMBS - 1; i >= 0; i--) value = (value << 13n) | BigInt(reduced[i]!)
  const prime = (1n << 130n) - 5n
  if (value >= prime) value -= prime
  let pad = 0n
  for (let i = 15; i >= 0; i--) pad = (pad << 8n) | BigInt(s[i]!)
  let sum = (value + pad) & ((1n << 128n) - 1n)
  const tag = Buffer.alloc(POLY1305_TAG_BYTES)
  for (let i = 0; i < POLY1305_TAG_BYTES; i++) {
    tag[i] = Number(sum & 0xffn)
    sum >>= 8n
  }
  return tag
}
