import { expect } from 'chai'
import { conditions } from '../../lib/alarms/conditions.ts'
import { type ConditionSettings, ThresholdWatch } from '../../lib/alarms/threshold-watch.ts'
import type { ConditionName } from '../../lib/interface/alarm.ts'
import type { GaugeName } from '../../lib/interface/telemetry.ts'
import { TelemetryHub } from '../../lib/telemetry.ts'

const DAY_MS = 86_400_000
const NOW_MS = 1_700_000_000_000

/** A watch that looks when the test says so. */
function createWatch(settings: ConditionSettings = {}) {
  const hub = new TelemetryHub()
  const said: string[] = []
  let atMs = 0
  hub.subscribe(event => {
    if (event.type === 'alarm') said.push(`${event.id} ${event.state}`)
  })
  const watch = new ThresholdWatch({
    telemetry: hub,
    settings,
    periodMs: 0,
    now: () => NOW_MS,
    monotonicMs: () => atMs,
  })
  const set = (name: GaugeName, labels: Record<string, string>, value: number) =>
    hub.gauge(name, labels as never, value)
  const pass = (ms: number) => {
    for (const end = atMs + ms; atMs < end; ) {
      atMs = Math.min(end, atMs + 1_000)
      watch.look()
    }
  }
  return { hub, set, pass, said, watch }
}

/** For each condition: gauges where all is well, where it is not, and between the two, where it stays as it was. */
const cases: Record<ConditionName, { id: string; good: Reading[]; bad: Reading[]; between: Reading[] }> = {
  'pool-low': {
    id: 'pool-low:b',
    good: [
      ['pool_reorder_cells', { peer: 'b' }, 2000],
      ['pool_position_cells', { peer: 'b' }, 4000],
    ],
    bad: [['pool_position_cells', { peer: 'b' }, 1900]],
    between: [['pool_position_cells', { peer: 'b' }, 2100]],
  },
  'link-down': {
    id: 'link-down:x',
    good: [['link_up', { link: 'x' }, 1]],
    bad: [['link_up', { link: 'x' }, 0]],
    between: [],
  },
  'link-qber-high': {
    id: 'link-qber-high:x',
    good: [['link_qber', { link: 'x' }, 0.03]],
    bad: [['link_qber', { link: 'x' }, 0.085]],
    between: [['link_qber', { link: 'x' }, 0.075]],
  },
  'store-asynchronous': {
    id: 'store-asynchronous',
    good: [['store_synchronous', {}, 1]],
    bad: [['store_synchronous', {}, 0]],
    between: [],
  },
  'audit-blocked': {
    id: 'audit-blocked',
    good: [['audit_blocked', {}, 0]],
    bad: [['audit_blocked', {}, 1]],
    between: [],
  },
  'clock-skew': {
    id: 'clock-skew:b',
    good: [
      ['peer_clock_skew_ms', { peer: 'b' }, -100],
      ['peer_clock_error_ms', { peer: 'b' }, 50],
    ],
    bad: [['peer_clock_skew_ms', { peer: 'b' }, -1100]],
    between: [['peer_clock_skew_ms', { peer: 'b' }, 1040]],
  },
  'certificate-expiring': {
    id: 'certificate-expiring:tls:kme-a',
    good: [['certificate_expiry_ms', { certificate: 'tls', subject: 'kme-a' }, NOW_MS + 100 * DAY_MS]],
    bad: [['certificate_expiry_ms', { certificate: 'tls', subject: 'kme-a' }, NOW_MS + 13 * DAY_MS]],
    between: [['certificate_expiry_ms', { certificate: 'tls', subject: 'kme-a' }, NOW_MS + 14.5 * DAY_MS]],
  },
  'kvno-near-end': {
    id: 'kvno-near-end:p',
    good: [
      ['kerberos_kvno_limit', { principal: 'p' }, 65_535],
      ['kerberos_kvno', { principal: 'p' }, 5],
    ],
    bad: [['kerberos_kvno', { principal: 'p' }, 60_000]],
    between: [['kerberos_kvno', { principal: 'p' }, 57_000]],
  },
  'rotation-failing': {
    id: 'rotation-failing:kerberos:b:p',
    good: [['rotation_failures', { integration: 'kerberos', peer: 'b', name: 'p' }, 0]],
    bad: [['rotation_failures', { integration: 'kerberos', peer: 'b', name: 'p' }, 3]],
    between: [['rotation_failures', { integration: 'kerberos', peer: 'b', name: 'p' }, 1]],
  },
}

type Reading = [GaugeName, Record<string, string>, number]

describe('ThresholdWatch', () => {
  for (const { name, raiseAfterMs, clearAfterMs } of conditions) {
    const { id, good, bad, between } = cases[name]
    it(`raises ${name} after its time beyond one threshold, and clears it after its time short of the other`, () => {
      const { set, pass, said } = createWatch()
      const apply = (readings: readonly Reading[]) => {
        for (const reading of readings) set(...reading)
      }
      apply(good)
      pass(600_000)
      apply(between)
      pass(600_000)
      expect(said).to.deep.equal([])
      apply(bad)
      if (raiseAfterMs > 0) {
        pass(raiseAfterMs - 1_000)
        apply(good)
        pass(1_000)
        apply(bad)
        pass(raiseAfterMs)
        expect(said).to.deep.equal([])
      }
      pass(1_000)
      expect(said).to.deep.equal([`${id} raised`])
      apply(between)
      pass(600_000)
      expect(said).to.have.length(1)
      apply(good)
      pass(clearAfterMs)
      if (clearAfterMs > 0) expect(said).to.have.length(1)
      pass(1_000)
      expect(said).to.deep.equal([`${id} raised`, `${id} cleared`])
    })
  }

  it('goes by thresholds that a configuration changes, and leaves out what it turns off', () => {
    const { set, pass, said } = createWatch({
      'link-qber-high': { raise: 0.05, clear: 0.04, raiseAfterMs: 0 },
      'link-down': false,
    })
    set('link_qber', { link: 'x' }, 0.06)
    set('link_up', { link: 'x' }, 0)
    pass(100_000)
    expect(said).to.deep.equal(['link-qber-high:x raised'])
  })

  it('ends the alarm of a gauge that is taken back, and begins anew where it comes again', () => {
    const { hub, set, pass, said } = createWatch()
    set('link_up', { link: 'x' }, 0)
    pass(11_000)
    hub.forget('link_up', { link: 'x' })
    pass(1_000)
    set('link_up', { link: 'x' }, 0)
    pass(5_000)
    expect(said).to.deep.equal(['link-down:x raised', 'link-down:x cleared'])
    pass(6_000)
    expect(said.at(-1)).to.equal('link-down:x raised')
  })

  it('says nothing of pools that have no reorder point, nor of a skew that may be none', () => {
    const { set, pass, said } = createWatch()
    set('pool_reorder_cells', { peer: 'b' }, 0)
    set('pool_position_cells', { peer: 'b' }, -5)
    set('peer_clock_skew_ms', { peer: 'b' }, 30_000)
    set('peer_clock_error_ms', { peer: 'b' }, 29_500)
    pass(600_000)
    expect(said).to.deep.equal([])
  })
})
