import { expect } from 'chai'
import fc from 'fast-check'
import { ClockWatch, compareClocks } from '../../../lib/kms/pool/clock-watch.ts'
import type { PeerMessage } from '../../../lib/kms/pool/peer-wire.ts'
import { TelemetryHub } from '../../../lib/telemetry.ts'

/** Two watches, a clock each, and a way between them on which each direction takes its time. */
function createWatches({ skewMs }: { skewMs: number }) {
  let trueMs = 1_700_000_000_000
  const world = { skewMs, thereMs: 3, backMs: 3 }
  const hub = new TelemetryHub()
  const travel = (ms: number) => {
    trueMs += ms
  }
  const far = new ClockWatch({
    peerSiteId: 'site-a',
    telemetry: new TelemetryHub(),
    wallMs: () => Math.floor(trueMs + world.skewMs),
    send: message => {
      travel(world.backMs)
      deliver(near, message)
    },
  })
  const near: ClockWatch = new ClockWatch({
    peerSiteId: 'site-b',
    telemetry: hub,
    wallMs: () => Math.floor(trueMs),
    send: message => {
      travel(world.thereMs)
      deliver(far, message)
    },
  })
  const read = () => Object.fromEntries(hub.readings().map(({ name, value }) => [name, value]))
  return { near, far, world, read }
}

function deliver(watch: ClockWatch, message: PeerMessage): void {
  void (watch.handlers[message.name] as ((message: PeerMessage) => void) | undefined)?.(message)
}

describe('ClockWatch', () => {
  it('holds the true difference within its bounds, whatever the ways and the difference are', () => {
    const ms = fc.double({ min: 0, max: 5_000, noNaN: true })
    const skew = fc.double({ min: -1e9, max: 1e9, noNaN: true })
    fc.assert(
      fc.property(skew, ms, ms, ms, (skewMs, thereMs, workMs, backMs) => {
        const asked = 1_700_000_000_000
        const reading = compareClocks({
          askedMs: asked,
          receivedMs: Math.floor(asked + thereMs + skewMs),
          answeredMs: Math.floor(asked + thereMs + workMs + skewMs),
          heardMs: Math.floor(asked + thereMs + workMs + backMs),
        })!
        expect(Math.abs(reading.skewMs - skewMs)).to.be.at.most(reading.errorMs)
      }),
    )
  })

  it('tells by the best of its answers, and follows a clock that is set', () => {
    const { near, world, read } = createWatches({ skewMs: 1500 })
    near.ask()
    expect(read()).to.deep.equal({ peer_clock_skew_ms: 1500, peer_clock_error_ms: 4 })
    world.backMs = 800
    near.ask()
    expect(read()).to.deep.equal({ peer_clock_skew_ms: 1500, peer_clock_error_ms: 4 })
    world.skewMs = -60_000
    near.ask()
    const { peer_clock_skew_ms: skewMs, peer_clock_error_ms: errorMs } = read()
    expect(Math.abs(skewMs! + 60_000)).to.be.at.most(errorMs!)
  })

  it('passes over answers that it did not ask for, and times that cannot be', () => {
    const { near, read } = createWatches({ skewMs: 0 })
    deliver(near, { name: 'clockEcho', asked: 5, received: 5, answered: 5 })
    expect(read()).to.deep.equal({})
    expect(compareClocks({ askedMs: 10, receivedMs: 20, answeredMs: 19, heardMs: 30 })).to.equal(undefined)
    expect(compareClocks({ askedMs: 10, receivedMs: 20, answeredMs: 60, heardMs: 30 })).to.equal(undefined)
  })
})
