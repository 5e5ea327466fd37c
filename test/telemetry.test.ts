import { expect } from 'chai'
import { PartTelemetry, TelemetryHub } from '../lib/telemetry.ts'

describe('PartTelemetry', () => {
  it('takes back the gauges of a part that has ended and clears its alarms, and nothing of others', () => {
    const hub = new TelemetryHub()
    const said: string[] = []
    hub.subscribe(event => said.push(event.type === 'alarm' ? `${event.id} ${event.state}` : event.type))
    const part = new PartTelemetry(hub)
    const alarm = { type: 'alarm', severity: 'major', text: '' } as const
    hub.gauge('audit_blocked', {}, 0)
    part.gauge('link_up', { link: 'x' }, 0)
    part.gauge('link_up', { link: 'x' }, 1)
    hub.emit({ ...alarm, id: 'own', state: 'raised' })
    part.emit({ ...alarm, id: 'over', state: 'raised' })
    part.emit({ ...alarm, id: 'over', state: 'cleared' })
    part.emit({ ...alarm, id: 'standing', state: 'raised' })
    expect(part.readings()).to.have.length(2)
    part.withdraw('It has ended')
    // What ends late.
    part.gauge('link_up', { link: 'x' }, 0)
    part.emit({ ...alarm, id: 'late', state: 'raised' })
    part.emit({ type: 'link', linkId: 'x', state: 'down' })
    expect(hub.readings().map(({ name }) => name)).to.deep.equal(['audit_blocked'])
    expect(said).to.deep.equal([
      'own raised',
      'over raised',
      'over cleared',
      'standing raised',
      'standing cleared',
      'link',
    ])
  })
})
