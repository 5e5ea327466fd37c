import { expect } from 'chai'
import { TrafficMeter } from '../../../../integrations/strongswan/charon/traffic-meter.ts'
import type { ListedSa } from '../../../../integrations/strongswan/vici/commands.ts'

const sa = (...children: [uniqueId: string, bytes: number][]): ListedSa => ({
  name: 'c',
  uniqueId: '1',
  state: 'ESTABLISHED',
  initiator: true,
  ppk: true,
  establishedSeconds: 1,
  remoteHost: undefined,
  children: children.map(([uniqueId, bytes]) => ({
    name: 'net',
    uniqueId,
    reqId: '1',
    state: 'INSTALLED',
    bytesIn: bytes,
    bytesOut: bytes,
    packetsIn: bytes / 10,
    packetsOut: 0,
  })),
})

describe('TrafficMeter', () => {
  it('adds up what was carried, over rekeyings of the children', () => {
    const meter = new TrafficMeter()
    expect(meter.read([sa(['1', 100])])).to.deep.equal({ bytes: 200, packets: 10 })
    expect(meter.read([sa(['1', 150], ['2', 10])])).to.deep.equal({ bytes: 320, packets: 16 })
    expect(meter.read([sa(['2', 10])])).to.deep.equal({ bytes: 320, packets: 16 })
    meter.reset()
    expect(meter.total).to.deep.equal({ bytes: 0, packets: 0 })
    expect(meter.read([sa(['3', 10])])).to.deep.equal({ bytes: 20, packets: 1 })
  })
})
