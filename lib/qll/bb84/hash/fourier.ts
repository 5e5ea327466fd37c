/** Factors of one step over all its points: cos and sin of one, two (and three) times each angle of a part of them. */
type Factors = Float64Array

/**
 * Fast Fourier transform of a fixed number of complex points, in place, radix 4, with one step of radix 3 where the number
 * has that factor. The forward transform leaves the points in an order of its own and the backward one takes them from it:
 * enough for convolutions, which never look at it.
 */
export class FourierTransform {
  readonly points: number
  readonly #factors = new Map<number, Factors>()

  /** @param points a power of two, 2 or more, or three times one */
  constructor(points: number) {
    this.points = points
    if (points % 3 === 0) this.#factors.set(points, factorsOf(points, 3))
    const whole = points % 3 === 0 ? points / 3 : points
    for (let length = whole; length >= 4; length /= 4) this.#factors.set(length, factorsOf(length, 4))
  }

  /** The least number of points that is one of these and not below `least`. */
  static pointsFrom(least: number): number {
    let points = 2
    while (points < least) points *= 2
    const between = (points / 4) * 3
    return between >= least && between % 2 === 0 ? between : points
  }

  /** Transforms the points whose real and imaginary parts are given. */
  forward(re: Float64Array, im: Float64Array): void {
    const third = this.points / 3
    if (this.points % 3 === 0) {
      splitThree(re, im, third, this.#factors.get(this.points)!)
      for (let i = 0; i < 3; i++) this.#forward(re, im, i * third, third)
    } else this.#forward(re, im, 0, this.points)
  }

  /** Undoes `forward`, but for a factor of `points`. */
  backward(re: Float64Array, im: Float64Array): void {
    const third = this.points / 3
    if (this.points % 3 === 0) {
      for (let i = 0; i < 3; i++) this.#backward(re, im, i * third, third)
      joinThree(re, im, third, this.#factors.get(this.points)!)
    } else this.#backward(re, im, 0, this.points)
  }

  // Depth first, so that the small pieces are worked on while they are in the cache.
  #forward(re: Float64Array, im: Float64Array, from: number, length: number): void {
    if (length < 4) {
      if (length === 2) pair(re, im, from)
      return
    }
    const quarter = length >>> 2
    split(re, im, from, quarter, this.#factors.get(length)!)
    if (quarter === 1) return
    for (let i = 0; i < 4; i++) this.#forward(re, im, from + i * quarter, quarter)
  }

  #backward(re: Float64Array, im: Float64Array, from: number, length: number): void {
    if (length < 4) {
      if (length === 2) pair(re, im, from)
      return
    }
    const quarter = length >>> 2
    if (quarter > 1) for (let i = 0; i < 4; i++) this.#backward(re, im, from + i * quarter, quarter)
    join(re, im, from, quarter, this.#factors.get(length)!)
  }
}

function factorsOf(length: number, radix: 3 | 4): Factors {
  const part = length / radix
  const stride = 2 * (radix - 1)
  const factors = new Float64Array(stride * part)
  for (let i = 0; i < part; i++) {
    for (let times = 1; times < radix; times++) {
      const angle = (2 * Math.PI * i * times) / length
      factors[stride * i + 2 * times - 2] = Math.cos(angle)
      factors[stride * i + 2 * times - 1] = Math.sin(angle)
    }
  }
  return factors
}

/** The sine of 120 degrees. */
const SIN_120 = Math.sqrt(3) / 2

function splitThree(re: Float64Array, im: Float64Array, third: number, factors: Factors): void {
  for (let a = 0, f = 0; a < third; a++, f += 4) {
    const b = a + third
    const c = b + third
    const sumR = re[b]! + re[c]!
    const sumI = im[b]! + im[c]!
    const restR = re[a]! - sumR / 2
    const restI = im[a]! - sumI / 2
    // (b - c) turned by -90 degrees
    const turnedR = SIN_120 * (im[b]! - im[c]!)
    const turnedI = SIN_120 * (re[c]! - re[b]!)
    re[a] = re[a]! + sumR
    im[a] = im[a]! + sumI
    const oneR = restR + turnedR
    const oneI = restI + turnedI
    const twoR = restR - turnedR
    const twoI = restI - turnedI
    re[b] = oneR * factors[f]! + oneI * factors[f + 1]!
    im[b] = oneI * factors[f]! - oneR * factors[f + 1]!
    re[c] = twoR * factors[f + 2]! + twoI * factors[f + 3]!
    im[c] = twoI * factors[f + 2]! - twoR * factors[f + 3]!
  }
}

function joinThree(re: Float64Array, im: Float64Array, third: number, factors: Factors): void {
  for (let a = 0, f = 0; a < third; a++, f += 4) {
    const b = a + third
    const c = b + third
    const oneR = re[b]! * factors[f]! - im[b]! * factors[f + 1]!
    const oneI = im[b]! * factors[f]! + re[b]! * factors[f + 1]!
    const twoR = re[c]! * factors[f + 2]! - im[c]! * factors[f + 3]!
    const twoI = im[c]! * factors[f + 2]! + re[c]! * factors[f + 3]!
    const sumR = oneR + twoR
    const sumI = oneI + twoI
    const restR = re[a]! - sumR / 2
    const restI = im[a]! - sumI / 2
    // (one - two) turned by +90 degrees
    const turnedR = SIN_120 * (twoI - oneI)
    const turnedI = SIN_120 * (oneR - twoR)
    re[a] = re[a]! + sumR
    im[a] = im[a]! + sumI
    re[b] = restR + turnedR
    im[b] = restI + turnedI
    re[c] = restR - turnedR
    im[c] = restI - turnedI
  }
}

function pair(re: Float64Array, im: Float64Array, at: number): void {
  const [r, i] = [re[at]!, im[at]!]
  re[at] = r + re[at + 1]!
  im[at] = i + im[at + 1]!
  re[at + 1] = r - re[at + 1]!
  im[at + 1] = i - im[at + 1]!
}

function split(re: Float64Array, im: Float64Array, from: number, quarter: number, factors: Factors): void {
  for (let i = 0, f = 0, a = from; i < quarter; i++, f += 6, a++) {
    const b = a + quarter
    const c = b + quarter
    const d = c + quarter
    const sumR = re[a]! + re[c]!
    const sumI = im[a]! + im[c]!
    const differenceR = re[a]! - re[c]!
    const differenceI = im[a]! - im[c]!
    const otherSumR = re[b]! + re[d]!
    const otherSumI = im[b]! + im[d]!
    // (b - d) turned by -90 degrees
    const turnedR = im[b]! - im[d]!
    const turnedI = re[d]! - re[b]!
    re[a] = sumR + otherSumR
    im[a] = sumI + otherSumI
    const oneR = differenceR + turnedR
    const oneI = differenceI + turnedI
    const twoR = sumR - otherSumR
    const twoI = sumI - otherSumI
    const threeR = differenceR - turnedR
    const threeI = differenceI - turnedI
    re[b] = oneR * factors[f]! + oneI * factors[f + 1]!
    im[b] = oneI * factors[f]! - oneR * factors[f + 1]!
    re[c] = twoR * factors[f + 2]! + twoI * factors[f + 3]!
    im[c] = twoI * factors[f + 2]! - twoR * factors[f + 3]!
    re[d] = threeR * factors[f + 4]! + threeI * factors[f + 5]!
    im[d] = threeI * factors[f + 4]! - threeR * factors[f + 5]!
  }
}

function join(re: Float64Array, im: Float64Array, from: number, quarter: number, factors: Factors): void {
  for (let i = 0, f = 0, a = from; i < quarter; i++, f += 6, a++) {
    const b = a + quarter
    const c = b + quarter
    const d = c + quarter
    const oneR = re[b]! * factors[f]! - im[b]! * factors[f + 1]!
    const oneI = im[b]! * factors[f]! + re[b]! * factors[f + 1]!
    const twoR = re[c]! * factors[f + 2]! - im[c]! * factors[f + 3]!
    const twoI = im[c]! * factors[f + 2]! + re[c]! * factors[f + 3]!
    const threeR = re[d]! * factors[f + 4]! - im[d]! * factors[f + 5]!
    const threeI = im[d]! * factors[f + 4]! + re[d]! * factors[f + 5]!
    const sumR = re[a]! + twoR
    const sumI = im[a]! + twoI
    const differenceR = re[a]! - twoR
    const differenceI = im[a]! - twoI
    const otherSumR = oneR + threeR
    const otherSumI = oneI + threeI
    // (one - three) turned by +90 degrees
    const turnedR = threeI - oneI
    const turnedI = oneR - threeR
    re[a] = sumR + otherSumR
    im[a] = sumI + otherSumI
    re[c] = sumR - otherSumR
    im[c] = sumI - otherSumI
    re[b] = differenceR + turnedR
    im[b] = differenceI + turnedI
    re[d] = differenceR - turnedR
    im[d] = differenceI - turnedI
  }
}
