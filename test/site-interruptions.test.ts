import { expect } from 'chai'
import type { QnlEvent } from '../lib/interface/qnl.ts'
import type { TelemetryEvent } from '../lib/interface/telemetry.ts'
import { watchInterruptions } from '../lib/site-interruptions.ts'
import { TelemetryHub } from '../lib/telemetry.ts'
import { Listeners } from '../lib/util/listeners.ts'

describe('watchInterruptions', () => {
  it('raises an alarm with the time that the pool lasts, and clears it when the pair is served again', async () => {
    const telemetry = new TelemetryHub()
    const qnl = new Listeners<QnlEvent>()
    await using _ = watchInterruptions({ qnl: { onEvent: listener => qnl.add(listener) }, telemetry })
    const alarms: Extract<TelemetryEvent, { type: 'alarm' }>[] = []
    telemetry.subscribe(event => event.type === 'alarm' && alarms.push(event))
    telemetry.gauge('pool_exhaustion_ms', { peer: 'b' }, 42_400)
    telemetry.gauge('pool_exhaustion_ms', { peer: 'c' }, Number.POSITIVE_INFINITY)
    qnl.emit({ type: 'restored', remoteSiteId: 'b', rateBps: 10 })
    qnl.emit({ type: 'rate-drop', remoteSiteId: 'c', rateBps: 10, wasBps: 30 })
    qnl.emit({ type: 'pair-unserved', remoteSiteId: 'b', reason: 'a-b is down' })
    qnl.emit({ type: 'restored', remoteSiteId: 'b', rateBps: 1000 })
    expect(alarms.map(({ id, severity, state }) => [id, severity, state])).to.deep.equal([
      ['pair-interrupted:c', 'minor', 'raised'],
      ['pair-interrupted:b', 'major', 'raised'],
      ['pair-interrupted:b', 'major', 'cleared'],
    ])
    expect(alarms[0]!.text).to.equal('The network gives 10 bit/s of 30 for c; nobody asks its pool for key now')
    expect(alarms[1]!.text).to.equal(
      'The network gives no key for b: a-b is down; its pool lasts 42 s at the present rate',
    )
  })

  it('clears the alarm of a pair that nobody asks key for any more, and says so', async () => {
    const telemetry = new TelemetryHub()
    const qnl = new Listeners<QnlEvent>()
    await using _ = watchInterruptions({ qnl: { onEvent: listener => qnl.add(listener) }, telemetry })
    const alarms: Extract<TelemetryEvent, { type: 'alarm' }>[] = []
    telemetry.subscribe(event => event.type === 'alarm' && alarms.push(event))
    qnl.emit({ type: 'pair-unserved', remoteSiteId: 'b', reason: 'a-b is down' })
    qnl.emit({ type: 'restored', remoteSiteId: 'b', rateBps: 0 })
    expect(alarms.map(({ state }) => state)).to.deep.equal(['raised', 'cleared'])
    expect(alarms[1]!.text).to.equal('The network is asked for no more key for b')
  })
})
