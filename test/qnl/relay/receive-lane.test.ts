import { expect } from 'chai'
import type { TelemetryEvent } from '../../../lib/interface/telemetry.ts'
import { SecretKey } from '../../../lib/key/secret-key.ts'
import { MAX_FORGERIES, ReceiveLane } from '../../../lib/qnl/relay/receive-lane.ts'
import { RelayCounters } from '../../../lib/qnl/relay/relay-counters.ts'
import { TelemetryHub } from '../../../lib/telemetry.ts'

const BLOCK_BYTES = 32_000
const range = { number: 7n, from: 100, sizeBytes: 50 }

function laneWithBlock() {
  const lane = new ReceiveLane()
  lane.add({ number: 7n, secret: SecretKey.random(BLOCK_BYTES) })
  return lane
}

describe('ReceiveLane', () => {
  it('spends nothing on a wrong tag, and burns the block after 1,024 of them (rule L3)', () => {
    const lane = laneWithBlock()
    for (let wrong = 1; wrong < MAX_FORGERIES; wrong += 1) expect(lane.forged([range])).to.equal(0)
    expect(lane.find([range])).to.be.an('array')
    expect(lane.forged([range])).to.equal(BLOCK_BYTES)
    expect(lane.find([range])).to.equal('unknown')
  })

  it('gives a pad once, and none of what lies before it', () => {
    const lane = laneWithBlock()
    lane.spend([range])
    expect(lane.find([range])).to.equal('spent')
    expect(lane.find([{ ...range, from: 0 }])).to.equal('spent')
    expect(lane.find([{ ...range, from: 150 }])).to.be.an('array')
    expect(lane.takeWhole(7n)).to.equal(undefined)
  })
})

describe('RelayCounters', () => {
  it('raises an alarm for a link whose key had to be burned because of forged tags, until its ends meet anew', () => {
    const telemetry = new TelemetryHub()
    const alarms: string[] = []
    telemetry.subscribe((event: TelemetryEvent) => {
      if (event.type === 'alarm') alarms.push(`${event.id} ${event.state}`)
    })
    const counters = new RelayCounters(telemetry)
    counters.burn(500, 'connection lost', 'a-b')
    counters.met('a-b')
    expect(alarms).to.deep.equal([])
    counters.burn(BLOCK_BYTES, 'forged', 'a-b')
    counters.met('a-b')
    expect(alarms).to.deep.equal(['link-forged:a-b raised', 'link-forged:a-b cleared'])
    expect(counters.burnedBytes).to.deep.equal({ 'connection lost': 500, forged: BLOCK_BYTES })
  })
})
