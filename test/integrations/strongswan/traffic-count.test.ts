import { expect } from 'chai'
import { TrafficCount } from '../../../integrations/strongswan/hook/traffic-count.ts'
import type { UpdownEvent } from '../../../integrations/strongswan/updown-event.ts'

const event = (direction: 'up' | 'down', uniqueId: string, child = 'net'): UpdownEvent => ({
  verb: `${direction}-client`,
  uniqueId,
  child,
  reqId: '1',
  atMs: 0,
  variables: { PLUTO_CONNECTION: child, PLUTO_MY_CLIENT: '10.1.0.0/16', PLUTO_PEER_CLIENT: '10.2.0.0/16' },
})

describe('TrafficCount', () => {
  it('takes a rotation for a move, and the late down of the old IKE_SA for nothing', () => {
    const count = new TrafficCount()
    expect(count.take(event('up', '1'))).to.equal('up')
    expect(count.take(event('up', '2'))).to.equal('moved')
    expect(count.take(event('up', '3'))).to.equal('moved')
    expect(count.take(event('down', '1'))).to.equal(undefined)
    expect(count.take(event('down', '2'))).to.equal(undefined)
    expect(count.carriersOf(event('up', '', 'net'))).to.deep.equal(['3'])
    expect(count.take(event('down', '2'))).to.equal(undefined)
    expect(count.take(event('down', '3'))).to.equal('down')
    expect(count.carriersOf(event('up', '', 'net'))).to.deep.equal([])
  })

  it('counts each pair of selectors on its own', () => {
    const count = new TrafficCount()
    expect(count.take(event('up', '1', 'net'))).to.equal('up')
    expect(count.take(event('up', '1', 'voice'))).to.equal('up')
    expect(count.take(event('down', '1', 'net'))).to.equal('down')
    expect(count.carriersOf(event('up', '', 'voice'))).to.deep.equal(['1'])
  })

  it('passes over an up that comes twice, and a down of what was never up', () => {
    const count = new TrafficCount()
    expect(count.take(event('down', '1'))).to.equal(undefined)
    count.take(event('up', '1'))
    expect(count.take(event('up', '1'))).to.equal(undefined)
    expect(count.take(event('down', '1'))).to.equal('down')
  })

  it('tells what went down with IKE_SAs that charon lost without a word', () => {
    const count = new TrafficCount()
    count.take(event('up', '1'))
    count.take(event('up', '2'))
    count.take(event('up', '1', 'voice'))
    expect(count.keepOnly(new Set(['2']))).to.deep.equal([event('down', '1', 'voice')])
    expect(count.carriersOf(event('up', '', 'net'))).to.deep.equal(['2'])
    expect(count.keepOnly(new Set())).to.deep.equal([event('down', '2')])
  })
})
