/** Bytes of r, the secret point at which the polynomial is evaluated. */
export const POLY1305_POINT_BYTES = 16
const BLOCK_BYTES = 16

const LIMB = 2 ** 22
const PER_LIMB = 1 / LIMB
const LIMB_MASK = LIMB - 1

/**
 * Poly1305 (RFC 8439, section 2.5) over a message that comes in pieces, at several hundred megabytes a second. The value
 * is a polynomial in r with the message as coefficients, modulo 2^130 - 5; two messages of at most L bytes share it, up
 * to a chosen difference modulo 2^128, for at most 8·⌈L/16⌉ in 2^106 of all r. On its own it authenticates nothing:
 * the value must be masked by a pad that is used once.
 *
 * Six limbs of 22 bits in numbers: a sum of six products, the wrapped ones times 20 (2^132 mod p), stays below 2^53.
 */
export class RunningPoly1305 {
  /** The limbs of r, then those of the value so far. */
  readonly #limbs = new Float64Array(12)
  readonly #rest = new Uint8Array(BLOCK_BYTES + 1)
  #restBytes = 0
  #sizeBytes = 0

  /** @param point r, 16 bytes; copied, with the bits that the standard clears cleared */
  constructor(point: Uint8Array) {
    const r = Uint8Array.from(point.subarray(0, POLY1305_POINT_BYTES))
    for (const i of [3, 7, 11, 15]) r[i]! &= 15
    for (const i of [4, 8, 12]) r[i]! &= 252
    const words = [0, 4, 8, 12].map(at => wordAt(r, at)) as [number, number, number, number]
    this.#limbs.set(limbsOf(words))
    r.fill(0)
    words.fill(0)
  }

  /** Bytes taken so far. */
  get sizeBytes(): number {
    return this.#sizeBytes
  }

  /** Takes the next piece of the message. */
  update(bytes: Uint8Array): this {
    this.#sizeBytes += bytes.byteLength
    let at = 0
    if (this.#restBytes > 0) {
      at = Math.min(BLOCK_BYTES - this.#restBytes, bytes.byteLength)
      this.#rest.set(bytes.subarray(0, at), this.#restBytes)
      this.#restBytes += at
      if (this.#restBytes < BLOCK_BYTES) return this
      absorb(this.#limbs, this.#rest, { from: 0, to: BLOCK_BYTES })
      this.#restBytes = 0
    }
    const whole = at + (bytes.byteLength - at - ((bytes.byteLength - at) % BLOCK_BYTES))
    absorb(this.#limbs, bytes, { from: at, to: whole })
    this.#rest.set(bytes.subarray(whole))
    this.#restBytes = bytes.byteLength - whole
    return this
  }

  /** The value plus `pad` (16 bytes, little-endian) modulo 2^128: the tag. The object is spent and wiped. */
  finish(pad: Uint8Array): Buffer {
    if (this.#restBytes > 0) {
      this.#rest.fill(0, this.#restBytes)
      this.#rest[this.#restBytes] = 1
      absorb(this.#limbs, this.#rest, { from: 0, to: BLOCK_BYTES, top: 0 })
    }
    const tag = tagOf(this.#limbs.subarray(6), pad)
    this.wipe()
    return tag
  }

  /** Overwrites r, the value and the last piece. */
  wipe(): void {
    this.#limbs.fill(0)
    this.#rest.fill(0)
  }
}

function wordAt(bytes: Uint8Array, at: number): number {
  return bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)
}

function limbsOf([w0, w1, w2, w3]: [number, number, number, number]): number[] {
  return [
    w0 & LIMB_MASK,
    (w0 >>> 22) | ((w1 & 0xfff) << 10),
    (w1 >>> 12) | ((w2 & 3) << 20),
    (w2 >>> 2) & LIMB_MASK,
    (w2 >>> 24) | ((w3 & 0x3fff) << 8),
    w3 >>> 14,
  ]
}

/** value = (value + block) · r for each whole block; `top` is the bit above a block's 128, 1 but for a filled-up last. */
function absorb(
  limbs: Float64Array,
  bytes: Uint8Array,
  { from, to, top = 1 }: { from: number; to: number; top?: 0 | 1 },
): void {
  const [r0, r1, r2, r3, r4, r5] = limbs as unknown as [number, number, number, number, number, number]
  const [s1, s2, s3, s4, s5] = [20 * r1, 20 * r2, 20 * r3, 20 * r4, 20 * r5]
  const topLimb = top * 2 ** 18
  let h0 = limbs[6]!
  let h1 = limbs[7]!
  let h2 = limbs[8]!
  let h3 = limbs[9]!
  let h4 = limbs[10]!
  let h5 = limbs[11]!
  for (let at = from; at < to; at += BLOCK_BYTES) {
    const w0 = bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)
    const w1 = bytes[at + 4]! | (bytes[at + 5]! << 8) | (bytes[at + 6]! << 16) | (bytes[at + 7]! << 24)
    const w2 = bytes[at + 8]! | (bytes[at + 9]! << 8) | (bytes[at + 10]! << 16) | (bytes[at + 11]! << 24)
    const w3 = bytes[at + 12]! | (bytes[at + 13]! << 8) | (bytes[at + 14]! << 16) | (bytes[at + 15]! << 24)
    h0 += w0 & LIMB_MASK
    h1 += (w0 >>> 22) | ((w1 & 0xfff) << 10)
    h2 += (w1 >>> 12) | ((w2 & 3) << 20)
    h3 += (w2 >>> 2) & LIMB_MASK
    h4 += (w2 >>> 24) | ((w3 & 0x3fff) << 8)
    h5 += (w3 >>> 14) + topLimb
    let d0 = h0 * r0 + h1 * s5 + h2 * s4 + h3 * s3 + h4 * s2 + h5 * s1
    let d1 = h0 * r1 + h1 * r0 + h2 * s5 + h3 * s4 + h4 * s3 + h5 * s2
    let d2 = h0 * r2 + h1 * r1 + h2 * r0 + h3 * s5 + h4 * s4 + h5 * s3
    let d3 = h0 * r3 + h1 * r2 + h2 * r1 + h3 * r0 + h4 * s5 + h5 * s4
    let d4 = h0 * r4 + h1 * r3 + h2 * r2 + h3 * r1 + h4 * r0 + h5 * s5
    let d5 = h0 * r5 + h1 * r4 + h2 * r3 + h3 * r2 + h4 * r1 + h5 * r0
    let over = Math.floor(d0 * PER_LIMB)
    d0 -= over * LIMB
    d1 += over
    over = Math.floor(d1 * PER_LIMB)
    h1 = d1 - over * LIMB
    d2 += over
    over = Math.floor(d2 * PER_LIMB)
    h2 = d2 - over * LIMB
    d3 += over
    over = Math.floor(d3 * PER_LIMB)
    h3 = d3 - over * LIMB
    d4 += over
    over = Math.floor(d4 * PER_LIMB)
    h4 = d4 - over * LIMB
    d5 += over
    over = Math.floor(d5 * PER_LIMB)
    h5 = d5 - over * LIMB
    d0 += over * 20
    over = Math.floor(d0 * PER_LIMB)
    h0 = d0 - over * LIMB
    h1 += over
  }
  limbs[6] = h0
  limbs[7] = h1
  limbs[8] = h2
  limbs[9] = h3
  limbs[10] = h4
  limbs[11] = h5
}

/** The limbs as a number, reduced modulo 2^130 - 5, plus the pad modulo 2^128. */
function tagOf(limbs: Float64Array, pad: Uint8Array): Buffer {
  const prime = (1n << 130n) - 5n
  let value = 0n
  for (let i = 5; i >= 0; i--) value = (value << 22n) + BigInt(limbs[i]!)
  let sum = value % prime
  for (let i = 0; i < 16; i++) sum += BigInt(pad[i]!) << BigInt(8 * i)
  const tag = Buffer.allocUnsafeSlow(16)
  for (let i = 0; i < 16; i++) {
    tag[i] = Number(sum & 0xffn)
    sum >>= 8n
  }
  return tag
}
