import { InvalidArgumentError } from '../../../errors.ts'
import { FourierTransform } from './fourier.ts'

/**
 * Digits below the result in which the sum of product and offset is worked out exactly. A carry from further below gets
 * through them with a probability under 2^-900 over the seed, so nothing below is computed.
 */
const GUARD_DIGITS = 64

/** Sizes of one use of the hash, in digits of 16 bits. */
interface Layout {
  readonly input: number
  readonly output: number
  /** Lowest digit that the offset has. */
  readonly offsetFrom: number
}

function layoutOf(inputWords: number, outputBytes: number): Layout {
  const input = 2 * inputWords
  return { input, output: Math.ceil(outputBytes / 2), offsetFrom: input - Math.min(GUARD_DIGITS, input) }
}

/** Bytes of public seed that hashing so many 32-bit words to so many bytes takes: the factor, then the offset. */
export function multiplyShiftSeedBytes(inputWords: number, outputBytes: number): number {
  const { input, offsetFrom } = layoutOf(inputWords, outputBytes)
  return 4 * inputWords + outputBytes + 2 * (input - offsetFrom) + outputBytes
}

/**
 * The strongly universal family of Dietzfelbinger (STACS 1996): an n-bit number x becomes the upper ℓ bits of
 * a·x + b mod 2^(n+ℓ), for a and b uniform. Any two inputs collide with a probability of 2^-ℓ, which is what privacy
 * amplification asks for. Of b only the digits that can matter are drawn. Numbers are little-endian throughout.
 *
 * The product comes from a convolution of balanced 16-bit digits modulo X^N + 1 over the complex numbers; what wraps
 * round falls on digits that are not used. Everything that held key bits is overwritten.
 */
export class MultiplyShift {
  #tables: Tables | undefined

  /**
   * The hash of `words` under `seed`, in a fresh buffer that the caller owns.
   * @param seed public random bytes, `multiplyShiftSeedBytes()` of them, drawn after the words were measured
   */
  hash(words: Uint32Array, seed: Uint8Array, outputBytes: number): Uint8Array {
    const layout = layoutOf(words.length, outputBytes)
    const expected = multiplyShiftSeedBytes(words.length, outputBytes)
    if (outputBytes < 1 || words.length < 1) throw new InvalidArgumentError('Hashing takes and gives at least one byte')
    if (seed.byteLength !== expected) {
      throw new InvalidArgumentError(`The seed must have ${expected} bytes, not ${seed.byteLength}`)
    }
    const { input, output, offsetFrom } = layout
    const factorBytes = 4 * words.length + outputBytes
    const tables = this.#tablesFor(input + output + 1 + (input - offsetFrom))
    const { xr, xi, ar, ai } = tables
    placeWords(words, xr, xi)
    placeBytes(seed.subarray(0, factorBytes), ar, ai)
    multiply(tables)
    const unexact = Math.max(input + 1 + input + output - 2 * xr.length, 0)
    const out = carryOut(xr, xi, { layout, from: unexact, offset: seed.subarray(factorBytes), outputBytes })
    for (const numbers of [xr, xi, ar, ai]) numbers.fill(0)
    return out
  }

  /** Room for numbers of so many digits modulo X^N + 1; what the last use made is kept while it fits. */
  #tablesFor(digits: number): Tables {
    const points = FourierTransform.pointsFrom(digits / 2)
    if (this.#tables?.xr.length !== points) this.#tables = createTables(points)
    return this.#tables
  }
}

/** The two numbers under multiplication, zeros between uses, and the factors for their length. */
interface Tables {
  readonly transform: FourierTransform
  readonly cos: Float64Array
  readonly sin: Float64Array
  readonly xr: Float64Array
  readonly xi: Float64Array
  readonly ar: Float64Array
  readonly ai: Float64Array
}

function createTables(points: number): Tables {
  const [cos, sin] = [new Float64Array(points), new Float64Array(points)]
  for (let i = 0; i < points; i++) {
    cos[i] = Math.cos((Math.PI * i) / (2 * points))
    sin[i] = Math.sin((Math.PI * i) / (2 * points))
  }
  const numbers = () => new Float64Array(points)
  const transform = new FourierTransform(points)
  return { transform, cos, sin, xr: numbers(), xi: numbers(), ar: numbers(), ai: numbers() }
}

/** x becomes x·a: both hold digit i in their real and digit i + N/2 in their imaginary part. */
function multiply({ transform, cos, sin, xr, xi, ar, ai }: Tables): void {
  turn(xr, xi, cos, sin)
  turn(ar, ai, cos, sin)
  transform.forward(xr, xi)
  transform.forward(ar, ai)
  const scale = 1 / transform.points
  for (let i = 0; i < xr.length; i++) {
    const re = (xr[i]! * ar[i]! - xi[i]! * ai[i]!) * scale
    xi[i] = (xr[i]! * ai[i]! + xi[i]! * ar[i]!) * scale
    xr[i] = re
  }
  transform.backward(xr, xi)
  for (let i = 0; i < xr.length; i++) {
    const re = xr[i]! * cos[i]! + xi[i]! * sin[i]!
    xi[i] = xi[i]! * cos[i]! - xr[i]! * sin[i]!
    xr[i] = re
  }
}

function turn(re: Float64Array, im: Float64Array, cos: Float64Array, sin: Float64Array): void {
  for (let i = 0; i < re.length; i++) {
    const turned = re[i]! * cos[i]! - im[i]! * sin[i]!
    im[i] = re[i]! * sin[i]! + im[i]! * cos[i]!
    re[i] = turned
  }
}

/** Digits from -32,768 to 32,767: their products cancel out, which keeps the sums exact. */
class BalancedDigits {
  readonly #low: Float64Array
  readonly #high: Float64Array
  #at = 0
  #carry = 0

  constructor(low: Float64Array, high: Float64Array) {
    this.#low = low
    this.#high = high
  }

  push(digit: number): void {
    const value = digit + this.#carry
    this.#carry = value >= 32768 ? 1 : 0
    this.#put(value - 65536 * this.#carry)
  }

  /** Adds the carry as a last digit. */
  end(): void {
    this.#put(this.#carry)
  }

  #put(digit: number): void {
    const half = this.#low.length
    if (this.#at < half) this.#low[this.#at] = digit
    else if (this.#at < 2 * half) this.#high[this.#at - half] = digit
    this.#at++
  }
}

function placeWords(words: Uint32Array, low: Float64Array, high: Float64Array): void {
  const digits = new BalancedDigits(low, high)
  for (let i = 0; i < words.length; i++) {
    digits.push(words[i]! & 0xffff)
    digits.push(words[i]! >>> 16)
  }
  digits.end()
}

/** A carry out of the top is dropped: the modulus takes it away. */
function placeBytes(bytes: Uint8Array, low: Float64Array, high: Float64Array): void {
  const digits = new BalancedDigits(low, high)
  for (let i = 0; i < bytes.length; i += 2) digits.push(bytes[i]! | ((bytes[i + 1] ?? 0) << 8))
}

/** The digits above the input, with the offset added and all carries done. */
function carryOut(
  low: Float64Array,
  high: Float64Array,
  { layout, from, offset, outputBytes }: { layout: Layout; from: number; offset: Uint8Array; outputBytes: number },
): Uint8Array {
  const out = new Uint8Array(outputBytes)
  const half = low.length
  let carry = 0
  for (let at = from; at < layout.input + layout.output; at++) {
    let sum = Math.round(at < half ? low[at]! : high[at - half]!) + carry
    if (at >= layout.offsetFrom) {
      const byte = 2 * (at - layout.offsetFrom)
      sum += offset[byte]! | ((offset[byte + 1] ?? 0) << 8)
    }
    carry = Math.floor(sum / 65536)
    const digit = sum - carry * 65536
    const byte = 2 * (at - layout.input)
    if (byte < 0) continue
    out[byte] = digit
    if (byte + 1 < outputBytes) out[byte + 1] = digit >>> 8
  }
  return out
}
