import { expect } from 'chai'
import { FourierTransform } from '../../../../lib/qll/bb84/hash/fourier.ts'
import { SeededRandom } from '../../../../lib/qll/bb84/random.ts'

const numbers = (points: number, random: SeededRandom) =>
  Float64Array.from({ length: points }, () => random.below(2001) - 1000)

describe('FourierTransform', () => {
  for (const points of [2, 4, 6, 8, 12, 16, 24, 32, 48, 96, 192, 384]) {
    it(`turns products into cyclic convolutions of ${points} points`, () => {
      const random = SeededRandom.of(points)
      const transform = new FourierTransform(points)
      const [ar, ai, br, bi] = [1, 2, 3, 4].map(() => numbers(points, random)) as [
        Float64Array,
        Float64Array,
        Float64Array,
        Float64Array,
      ]
      const [wantedR, wantedI] = [new Float64Array(points), new Float64Array(points)]
      for (let i = 0; i < points; i++) {
        for (let j = 0; j < points; j++) {
          const at = (i + j) % points
          wantedR[at]! += ar[i]! * br[j]! - ai[i]! * bi[j]!
          wantedI[at]! += ar[i]! * bi[j]! + ai[i]! * br[j]!
        }
      }
      transform.forward(ar, ai)
      transform.forward(br, bi)
      const re = ar.map((value, i) => (value * br[i]! - ai[i]! * bi[i]!) / points)
      const im = ar.map((value, i) => (value * bi[i]! + ai[i]! * br[i]!) / points)
      transform.backward(re, im)
      for (let i = 0; i < points; i++) {
        expect(re[i]).to.be.closeTo(wantedR[i]!, 1e-4)
        expect(im[i]).to.be.closeTo(wantedI[i]!, 1e-4)
      }
    })
  }

  it('takes the least number of points that it can have', () => {
    const from = [1, 2, 3, 4, 5, 7, 12, 13, 24, 25, 33, 48, 49, 90]
    expect(from.map(FourierTransform.pointsFrom)).to.deep.equal([2, 2, 4, 4, 6, 8, 12, 16, 24, 32, 48, 48, 64, 96])
  })
})
