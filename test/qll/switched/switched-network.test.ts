import { expect } from 'chai'
import { ChannelModel } from '../../../lib/qll/bb84/model/channel-model.ts'
import { PhotonLine } from '../../../lib/qll/bb84/photons/photon-line.ts'
import { OpticalSwitch } from '../../../lib/qll/switched/optical-switch.ts'
import { planSchedule } from '../../../lib/qll/switched/schedule.ts'
import { branchAddress, splitterChannel, splitterLossDb } from '../../../lib/qll/switched/splitter.ts'
import { switchedPath } from '../../../lib/qll/switched/switched-path.ts'
import type { NetworkFile } from '../../../lib/qnl/planner/network.ts'
import { planNetwork } from '../../../lib/qnl/planner/plan-network.ts'
import { SHORT_BLOCK_PROTOCOL } from '../../helpers/bb84-pair.ts'
import { VirtualClock } from '../../helpers/virtual-clock.ts'

/** Senders in the west with one module each, receivers in the east with two, and nobody without a switch. */
const NETWORK: NetworkFile = {
  nodes: [
    { id: 'w1', modules: 1 },
    { id: 'w2', modules: 1 },
    { id: 'w3', modules: 2 },
    { id: 'e1', modules: 1 },
    { id: 'e2', modules: 2 },
    { id: 'e3', modules: 1 },
  ],
  links: [
    { id: 'w1-e1', a: 'w1', b: 'e1', rateBps: 4000 },
    { id: 'w1-e2', a: 'w1', b: 'e2', rateBps: 2500 },
    { id: 'w1-e3', a: 'w1', b: 'e3', rateBps: 1000 },
    { id: 'w2-e1', a: 'w2', b: 'e1', rateBps: 3000 },
    { id: 'w2-e2', a: 'w2', b: 'e2', rateBps: 3500 },
    { id: 'w3-e2', a: 'w3', b: 'e2', rateBps: 2000 },
    { id: 'w3-e3', a: 'w3', b: 'e3', rateBps: 4500 },
  ],
  demands: [
    { id: 'a', a: 'w1', b: 'e1', rateBps: 500 },
    { id: 'b', a: 'w2', b: 'e2', rateBps: 700 },
    { id: 'c', a: 'w3', b: 'e3', rateBps: 900 },
    { id: 'd', a: 'w1', b: 'e3', rateBps: 200 },
    { id: 'e', a: 'w2', b: 'w3', rateBps: 300 },
    { id: 'f', a: 'e1', b: 'e2', rateBps: 250 },
  ],
}
const SWITCHING_MS = 400
/** Pulses a second: few, so that hours of them are drawn in no time. */
const CLOCK_HZ = 2e4

describe('a switched network of 6 sites', function () {
  this.timeout(60_000)

  it('delivers every planned time share within 2 %, switching included, and uses no module twice at once', async () => {
    const plan = await planNetwork(NETWORK)
    const shares = new Map(plan.links.map(({ id, timeShare }) => [id, timeShare ?? 0]))
    const links = NETWORK.links.map(({ id, a, b }) => ({ id, a, b, timeShare: shares.get(id)! }))
    expect(links.filter(({ timeShare }) => timeShare > 0)).to.have.length.above(4)
    // The planner fills the sites to the last second: no time is left over for switching.
    const schedule = planSchedule({ sites: NETWORK.nodes, links, switchingMs: SWITCHING_MS, tolerance: 0.015 })
    const spanMs = 3 * schedule.periodMs

    const switches = NETWORK.nodes.map(({ id, modules }) => {
      const ports = links.filter(({ a, b }) => a === id || b === id).length
      return new OpticalSwitch({ siteId: id, modules: modules!, ports })
    })
    let turns = 0
    for (let atMs = 0; atMs < spanMs; turns++) {
      // Each switch refuses a module or a fibre that is in use.
      const next = switches.map(one => one.follow(schedule, atMs))
      atMs = Math.min(...next) + 1e-6
    }

    const receiver = {
      clockHz: CLOCK_HZ,
      fibreLossDbPerKm: 0.2,
      receiverEfficiency: 0.3,
      backgroundYield: 1e-6,
      misalignment: 0.01,
    }
    const channel = new ChannelModel(receiver, { lengthKm: 10 })
    const rows: string[] = []
    for (const { id, timeShare } of links.filter(one => one.timeShare > 0)) {
      const clock = new VirtualClock()
      const path = switchedPath(() => channel, { schedule, linkId: id, now: () => clock.now() })
      const line = new PhotonLine({ path, protocol: SHORT_BLOCK_PROTOCOL, keyBits: 50, clock })
      const dark: (string | undefined)[] = []
      line.alice.onLight!(reason => dark.push(reason))
      clock.raise(Number.MAX_SAFE_INTEGER)
      let litMs = 0
      for (;;) {
        const [prepared, detected] = await Promise.all([line.alice.next(), line.bob.next()])
        expect(detected.gaps.length).to.equal(prepared.gaps.length)
        // A block that ends after the span began a moment before its end, or lies beyond it.
        if (clock.now() > spanMs) break
        litMs += (1e3 * prepared.pulses) / CLOCK_HZ
      }
      const delivered = litMs / spanMs
      line.close()
      rows.push(`${id} ${(100 * timeShare).toFixed(2)} % planned, ${(100 * delivered).toFixed(2)} % delivered`)
      expect(delivered / timeShare, id).to.be.within(0.98, 1.02)
      // Their turns are planned: no link goes down for those of the others.
      expect(dark).to.deep.equal([])
    }
    console.log(`      period ${schedule.periodMs / 1e3} s, ${turns} turns of the switches; ${rows.join('; ')}`)
  })
})

describe('OpticalSwitch', () => {
  const connection = (linkId: string, module: number, port: number) => ({
    linkId,
    address: { siteId: 'a', module, port },
  })

  it('refuses a module or a fibre that is in use, and what is not there', () => {
    const one = new OpticalSwitch({ siteId: 'a', modules: 2, ports: 3 })
    one.connect(connection('x', 0, 0))
    expect(() => one.connect(connection('y', 0, 1))).to.throw('a/0:1 for link "y" meets a/0:0 of link "x"')
    expect(() => one.connect(connection('y', 1, 0))).to.throw('a/1:0 for link "y" meets a/0:0')
    expect(() => one.connect(connection('y', 2, 1))).to.throw('has no a/2:1')
    expect(() => one.connect(connection('y', 1, 3))).to.throw('has no a/1:3')
    one.connect(connection('y', 1, 2))
    one.disconnect(0)
    one.connect(connection('z', 0, 1))
    expect(one.connections.map(({ linkId }) => linkId)).to.deep.equal(['z', 'y'])
  })
})

describe('splitter', () => {
  it('loses as much as it splits, and a little more', () => {
    expect(splitterLossDb({ ways: 2 })).to.be.closeTo(3.31, 0.01)
    expect(splitterLossDb({ ways: 8, excessDb: 1 })).to.be.closeTo(10.03, 0.01)
    expect(() => splitterLossDb({ ways: 1 })).to.throw(/2 to 128 ways/)
  })

  it('gives every branch the clicks of its share, at all times', () => {
    const receiver = {
      clockHz: 1e9,
      fibreLossDbPerKm: 0.2,
      receiverEfficiency: 0.1,
      backgroundYield: 1e-6,
      misalignment: 0.01,
    }
    const direct = new ChannelModel(receiver, { lengthKm: 20 })
    const branch = splitterChannel(receiver, { ways: 4, excessDb: 0 }, { lengthKm: 20 })
    expect(branch.gain(0.01) / (direct.gain(0.01) / 4)).to.be.closeTo(1, 0.02)
  })

  it('addresses its branches as ports of one module', () => {
    expect(branchAddress('hub', 3, { ways: 4 })).to.deep.equal({ siteId: 'hub', module: 0, port: 3 })
    expect(() => branchAddress('hub', 4, { ways: 4 })).to.throw(/none of the 4/)
  })
})
