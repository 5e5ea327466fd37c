import { expect } from 'chai'
import { UpdownBook } from '../../../integrations/strongswan/updown-book.ts'

const call = (verb: string, uniqueId: string, variables: Record<string, string> = {}) => ({
  verb,
  uniqueId,
  child: 'net',
  reqId: '1',
  atMs: 0,
  variables,
})

describe('UpdownBook', () => {
  it('does not take the late "down" of an old IKE_SA for the end', () => {
    const book = new UpdownBook(uniqueId => uniqueId)
    expect(book.take(call('up-client', '1'))).to.deep.equal({ direction: 'up', edge: true })
    expect(book.take(call('up-client', '2'))).to.deep.equal({ direction: 'up', edge: false })
    expect(book.take(call('down-client', '1'))).to.deep.equal({ direction: 'down', edge: false })
    expect(book.take(call('down-client', '2'))).to.deep.equal({ direction: 'down', edge: true })
  })

  it('knows an IKE_SA by the number that it had at "up"', () => {
    const book = new UpdownBook(uniqueId => ({ '2': '1' })[uniqueId] ?? uniqueId)
    book.take(call('up-client', '1'))
    book.take(call('up-client', '3'))
    expect(book.take(call('down-client', '2')).edge).to.equal(false)
    expect(book.take(call('down-client', '3')).edge).to.equal(true)
  })

  it('counts each pair of traffic selectors, and each family, on its own', () => {
    const book = new UpdownBook(uniqueId => uniqueId)
    const places = [
      ['client', { PLUTO_PEER_CLIENT: '10.2.0.0/24' }],
      ['client', { PLUTO_PEER_CLIENT: '10.3.0.0/24' }],
      ['client-v6', {}],
      ['host', {}],
    ] as const
    for (const [kind, variables] of places) expect(book.take(call(`up-${kind}`, '1', variables)).edge).to.equal(true)
    for (const [kind, variables] of places) expect(book.take(call(`down-${kind}`, '1', variables)).edge).to.equal(true)
  })

  it('counts what was up before the agent', () => {
    const book = new UpdownBook(uniqueId => uniqueId)
    book.seed('net', '1')
    expect(book.take(call('up-client', '2')).edge).to.equal(false)
    expect(book.take(call('down-client', '1')).edge).to.equal(false)
    expect(book.take(call('down-client', '2')).edge).to.equal(true)
  })
})
