import { expect } from 'chai'
import { clicksPerPulse } from '../../../../lib/qll/bb84/model/expected-block.ts'
import { PhotonLine } from '../../../../lib/qll/bb84/photons/photon-line.ts'
import type { PhotonPath } from '../../../../lib/qll/bb84/photons/photon-path.ts'
import { joinRecords, type PulseRecords } from '../../../../lib/qll/bb84/photons/records.ts'
import { testChannel } from '../../../helpers/bb84-link.ts'
import { SHORT_BLOCK_PROTOCOL } from '../../../helpers/bb84-pair.ts'
import { VirtualClock } from '../../../helpers/virtual-clock.ts'

const protocol = SHORT_BLOCK_PROTOCOL
const keyBits = 2 ** 16
const near = testChannel({ lengthKm: 10 })
const far = testChannel({ lengthKm: 60 })

/** When each click was, in pulses from the begin of the block. */
function times({ gaps }: PulseRecords): number[] {
  let at = 0
  return [...gaps].map(gap => {
    at += gap
    return at
  })
}

describe('joinRecords', () => {
  const piece = (pulses: number, ...gaps: number[]): PulseRecords => ({
    block: 7n,
    pulses,
    gaps: Uint32Array.from(gaps),
    states: Uint8Array.from(gaps, gap => gap % 5),
  })

  it('keeps each click at its pulse, over pieces without any', () => {
    const joined = joinRecords([piece(10, 3, 4), piece(5), piece(20, 20), piece(8), piece(4, 1, 1)], 1n)
    expect(joined).to.include({ block: 1n, pulses: 47 })
    expect(times(joined)).to.deep.equal([3, 7, 35, 44, 45])
    expect([...joined.states]).to.deep.equal([3, 4, 0, 1, 1])
  })
})

describe('PhotonLine', () => {
  const line = async (path: PhotonPath, clock: VirtualClock) => {
    const photons = new PhotonLine({ path, protocol, keyBits, clock })
    const both = Promise.all([photons.alice.next(), photons.bob.next()])
    clock.raise(86_400_000)
    const [prepared, detected] = await both
    photons.close()
    return { prepared, detected }
  }

  it('sends a block in slices as it does at once: as long, and as many clicks', async () => {
    const [whole, sliced] = [new VirtualClock(), new VirtualClock()]
    const one = await line(() => near, whole)
    const many = await line(() => ({ channel: near, forMs: 0.1 }), sliced)
    expect(sliced.now()).to.be.closeTo(whole.now(), 0.01)
    expect(many.prepared.gaps.length / one.prepared.gaps.length).to.be.within(0.95, 1.05)
    expect(times(many.detected)).to.deep.equal(times(many.prepared))
    expect(times(many.detected).at(-1)).to.be.at.most(many.detected.pulses)
  })

  it('follows a path that changes within a block', async () => {
    const clock = new VirtualClock()
    // Dark at first, so that no time before counts; then near by for 0.2 milliseconds, and far away.
    const path: PhotonPath = () => {
      if (clock.now() < 100) return { dark: 'Not yet' }
      return clock.now() < 100.1999 ? { channel: near, forMs: 0.2 } : far
    }
    const { detected } = await line(path, clock)
    const changePulse = 2e-4 * near.clockHz
    const early = times(detected).filter(at => at <= changePulse).length
    expect(early / (changePulse * clicksPerPulse(near, protocol))).to.be.within(0.95, 1.05)
    const late = detected.gaps.length - early
    expect(late / ((detected.pulses - changePulse) * clicksPerPulse(far, protocol))).to.be.within(0.95, 1.05)
  })

  it('ends a block that began before the dark when light is back, and counts no time in the dark', async () => {
    const clock = new VirtualClock()
    const dark: (string | undefined)[] = []
    const path: PhotonPath = () => {
      if (clock.now() < 100) return { dark: 'Not yet' }
      if (clock.now() < 100.2499) return { channel: near, forMs: 0.25 }
      return clock.now() < 5000 ? { dark: 'Turned away', forMs: 5000 - clock.now() } : near
    }
    const photons = new PhotonLine({ path, protocol, keyBits, clock })
    photons.bob.onLight!(reason => dark.push(reason))
    const next = photons.bob.next()
    clock.raise(10_000)
    const { pulses, gaps } = await next
    photons.close()
    expect(dark).to.deep.equal(['Not yet', undefined, 'Turned away', undefined])
    expect(clock.now()).to.be.above(5000)
    expect(gaps.length / (pulses * clicksPerPulse(near, protocol))).to.be.within(0.95, 1.05)
  })

  it('says nothing of gaps that are planned', async () => {
    const clock = new VirtualClock()
    const dark: (string | undefined)[] = []
    const path: PhotonPath = () => (clock.now() < 100 ? { dark: 'Not our turn', planned: true } : near)
    const photons = new PhotonLine({ path, protocol, keyBits, clock })
    photons.alice.onLight!(reason => dark.push(reason))
    const next = photons.alice.next()
    clock.raise(10_000)
    await next
    photons.close()
    expect(dark).to.deep.equal([])
  })
})
