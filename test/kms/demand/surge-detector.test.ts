import { expect } from 'chai'
import { SurgeDetector } from '../../../lib/kms/demand/surge-detector.ts'
import { SeededRandom } from '../../../lib/qll/bb84/random.ts'

/** Requests at random, `perSecond`, from `fromMs` on; until a surge is seen or the time is over. */
function ask(
  detector: SurgeDetector,
  { random, perSecond, fromMs, toMs }: { random: SeededRandom; perSecond: number; fromMs: number; toMs: number },
) {
  const gap = () => (-Math.log(1 - random.uniform()) * 1000) / perSecond
  for (let atMs = fromMs + gap(); atMs < toMs; atMs += gap()) {
    const surge = detector.add(1, atMs)
    if (surge !== undefined) return { atMs, surge }
  }
  return undefined
}

describe('SurgeDetector', () => {
  it('sees ten times the demand within 200 ms nearly always, and how much it is', () => {
    const random = SeededRandom.of(3)
    let soon = 0
    for (let trial = 0; trial < 200; trial += 1) {
      const detector = new SurgeDetector({ nowMs: 0 })
      detector.expect({ perSecond: 20, batch: 1, nowMs: 0 })
      expect(ask(detector, { random, perSecond: 20, fromMs: 0, toMs: 5_000 })).to.equal(undefined)
      const seen = ask(detector, { random, perSecond: 200, fromMs: 5_000, toMs: 6_000 })
      expect(seen, 'within a second').to.not.equal(undefined)
      if (seen!.atMs <= 5_200) soon += 1
      expect(seen!.surge).to.be.within(80, 400)
    }
    expect(soon).to.be.above(185)
  })

  it('takes six hours of chance for nothing else', () => {
    const detector = new SurgeDetector({ nowMs: 0 })
    detector.expect({ perSecond: 20, batch: 1, nowMs: 0 })
    const random = SeededRandom.of(8)
    expect(ask(detector, { random, perSecond: 20, fromMs: 0, toMs: 6 * 3_600_000 })).to.equal(undefined)
  })

  it('takes a few requests after a silence for no surge', () => {
    const detector = new SurgeDetector({ nowMs: 0 })
    for (let n = 0; n < 8; n += 1) expect(detector.add(1, 10_000 + n * 10)).to.equal(undefined)
    expect(detector.add(1, 10_150)).to.equal(undefined)
  })

  it('forgets what lies more than a second back, and what it has told', () => {
    const detector = new SurgeDetector({ nowMs: 0 })
    for (let n = 0; n < 8; n += 1) detector.add(1, n)
    for (let n = 0; n < 8; n += 1) detector.add(1, 1_500 + n)
    expect(detector.add(1, 1_700)).to.equal(undefined)
    for (let n = 0; n < 50; n += 1) detector.add(1, 1_800 + n)
    detector.restart(1_850)
    expect(detector.add(1, 1_901)).to.equal(undefined)
  })
})
