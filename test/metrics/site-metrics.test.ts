import { expect } from 'chai'
import { SiteMetrics } from '../../lib/metrics/site-metrics.ts'
import { TelemetryHub } from '../../lib/telemetry.ts'

describe('SiteMetrics', () => {
  it('shows gauges as they stand and events as they add up, in OpenMetrics text', () => {
    const hub = new TelemetryHub()
    using metrics = new SiteMetrics(hub, { site: 'site-a' })
    hub.gauge('pool_stock_cells', { peer: 'b', lane: 'issue' }, 5)
    hub.gauge('pool_stock_cells', { peer: 'b', lane: 'issue' }, 7)
    hub.gauge('pool_stock_cells', { peer: 'c "d"\n', lane: 'issue' }, 1.5)
    hub.gauge('link_rate_bps', { link: 'x' }, Number.NaN)
    const key = { masterSaeId: 'm', slaveSaeId: 's', keyId: 'k', sizeBits: 256, trustClass: 'direct' } as const
    for (const level of ['quantum', 'hybrid', 'quantum'] as const)
      hub.emit({ type: 'key-issued', peerSiteId: 'b', level, ...key })
    hub.emit({ type: 'request-waited', peerSiteId: 'b', waitMs: 1500 })
    hub.emit({ type: 'alarm', id: 'a', severity: 'major', state: 'raised', text: 't' })
    hub.emit({ type: 'alarm', id: 'gone', severity: 'minor', state: 'raised', text: 't' })
    hub.emit({ type: 'alarm', id: 'gone', severity: 'minor', state: 'cleared', text: 't' })
    const lines = metrics.text().split('\n')
    for (const line of [
      '# TYPE qkd_pool_stock_cells gauge',
      'qkd_pool_stock_cells{site="site-a",peer="b",lane="issue"} 7',
      'qkd_pool_stock_cells{site="site-a",peer="c \\"d\\"\\n",lane="issue"} 1.5',
      '# TYPE qkd_keys_issued counter',
      'qkd_keys_issued_total{site="site-a",peer="b",level="quantum",path="direct"} 2',
      'qkd_keys_issued_total{site="site-a",peer="b",level="hybrid",path="direct"} 1',
      'qkd_request_wait_seconds_total{site="site-a",peer="b"} 1.5',
      'qkd_alarm{site="site-a",id="a",severity="major"} 1',
    ]) {
      expect(lines).to.include(line)
    }
    expect(lines.slice(-2)).to.deep.equal(['# EOF', ''])
    expect(metrics.text()).to.not.include('gone').and.not.include('NaN').and.not.include('"m"')
  })

  it('does not grow with what comes from outside', () => {
    const hub = new TelemetryHub()
    using metrics = new SiteMetrics(hub, { site: 'site-a' })
    for (let n = 0; n < 20_000; n += 1) hub.emit({ type: 'cells-burned', peerSiteId: `p${n}`, cells: 1, reason: 'r' })
    expect(metrics.text().split('\n').length).to.be.below(10_020)
  })
})
