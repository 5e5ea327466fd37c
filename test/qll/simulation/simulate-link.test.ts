import { expect } from 'chai'
import { bb84Preset } from '../../../lib/qll/bb84/model/presets.ts'
import { designCurve, designReachKm } from '../../../lib/qll/simulation/link-design.ts'
import { type LinkSimulationEvent, simulateLink } from '../../../lib/qll/simulation/simulate-link.ts'
import { rejectsWith } from '../../helpers/rejects-with.ts'

const blockBits = 2 ** 18

describe('simulateLink', () => {
  it('tells of each block: what was sent, its stages in order, its report', async () => {
    const events: LinkSimulationEvent[] = []
    await simulateLink({ preset: 't12', lengthKm: 20, blocks: 2, blockBits, onEvent: event => events.push(event) })
    const told = events.map(event => (event.type === 'stage' ? event.stage : event.type))
    const block = ['sent', 'sifting', 'estimation', 'correction', 'verification', 'amplification', 'block']
    expect(told).to.deep.equal(['planned', ...block, ...block])
    expect(events.filter(event => event.type === 'stage').map(event => event.block)).to.include(2)
  })

  it('comes near to what the model expects, in rate and in errors', async () => {
    const { rateBps, qber, expected, efficiency } = await simulateLink({ preset: 't12', lengthKm: 20, blockBits })
    expect(rateBps / expected.plan.rateBps).to.be.within(0.85, 1.15)
    expect(qber! / expected.plan.qber).to.be.within(0.93, 1.07)
    expect(efficiency).to.be.within(1, 1.07)
  })

  it('counts the key that authentication takes against the net', async () => {
    const { blocks, netSecretBits } = await simulateLink({ preset: 't12', lengthKm: 20, blocks: 1, blockBits })
    const [block] = blocks
    expect(block!.authenticationSpentBits).to.be.above(0)
    expect(netSecretBits).to.equal(block!.secretBits - block!.authenticationBits)
  })

  it('loses rate to classical light in the same fibre', async () => {
    const light = { launchPowerDbm: 0, direction: 'co', filterNm: 0.1, gatePs: 300 } as const
    const run = (classical?: typeof light) =>
      simulateLink({ preset: 't12', lengthKm: 15, blocks: 1, blockBits, ...(classical && { classical }) })
    const [dark, lit] = [await run(), await run(light)]
    expect(lit.rateBps)
      .to.be.above(0)
      .and.below(dark.rateBps * 0.97)
    expect(lit.expected.reachKm).to.be.below(dark.expected.reachKm)
  })

  it('goes through air as well, where there is no fibre to share', async () => {
    const { blocks, rateBps, expected } = await simulateLink({ preset: 'roofs-day', lengthKm: 2, blocks: 2, blockBits })
    expect(blocks.every(({ outcome }) => outcome === 'key')).to.equal(true)
    expect(rateBps / expected.plan.rateBps).to.be.within(0.8, 1.2)
    const classical = { launchPowerDbm: 0, direction: 'co', filterNm: 0.1, gatePs: 300 } as const
    await rejectsWith(simulateLink({ preset: 'roofs-day', lengthKm: 2, classical }), 'ERR_QKD_INVALID_ARGUMENT')
  })

  it('stops where its signal says so', async () => {
    const stop = new AbortController()
    const reason = new Error('enough')
    const running = simulateLink({
      preset: 't12',
      lengthKm: 20,
      blockBits,
      signal: stop.signal,
      onEvent: event => event.type === 'block' && stop.abort(reason),
    })
    expect(await running.catch(error => error)).to.equal(reason)
  })

  it('refuses what is out of range', async () => {
    const base = { preset: 'gys', lengthKm: 50 }
    await rejectsWith(simulateLink({ ...base, preset: 'no' }), 'ERR_QKD_INVALID_ARGUMENT')
    await rejectsWith(simulateLink({ ...base, lengthKm: -1 }), 'ERR_QKD_INVALID_ARGUMENT')
    await rejectsWith(simulateLink({ ...base, interceptFraction: Number.NaN }), 'ERR_QKD_INVALID_ARGUMENT')
    await rejectsWith(simulateLink({ ...base, blockBits: 1000 }), 'ERR_QKD_INVALID_ARGUMENT')
  })
})

describe('designCurve', () => {
  const design = { preset: bb84Preset('gys'), lengthKm: 50, blockBits }

  it('falls with the length, finite blocks below long keys, to nothing beyond the reach', () => {
    const curve = [...designCurve(design, 8)]
    expect(curve.map(({ lengthKm }) => lengthKm)).to.have.length(8)
    for (const [at, point] of curve.entries()) {
      expect(point.vacuumWeakBps).to.be.at.most(point.infiniteDecoysBps)
      expect(point.finiteBlocksBps).to.be.at.most(point.vacuumWeakBps)
      expect(point.vacuumWeakBps).to.be.at.most(curve[at - 1]?.vacuumWeakBps ?? Number.POSITIVE_INFINITY)
      expect(point.qber).to.be.at.least(curve[at - 1]?.qber ?? 0)
    }
    expect(curve.at(-1)!.vacuumWeakBps).to.equal(0)
  })

  it('reaches as far as the published curve of the preset', () => {
    expect(designReachKm(design)).to.be.closeTo(140.62, 0.01)
  })
})
