import { expect } from 'chai'
import { SecretKey } from '../../../lib/key/secret-key.ts'
import type { Chunk } from '../../../lib/qnl/relay/frame.ts'
import type { LinkPool } from '../../../lib/qnl/relay/link-pool.ts'
import { LinkTraffic, type RefusedBecause } from '../../../lib/qnl/relay/link-traffic.ts'
import { Transit } from '../../../lib/qnl/relay/transit.ts'

/** A link to the next site that has no key: what is sent on waits. */
function createKeyless(maxBytes: number) {
  const refused: RefusedBecause[] = []
  const pool = { up: false, want: () => {} } as unknown as LinkPool
  const quiet = { onSent: () => {}, onChunk: () => {}, onRefused: () => {} }
  const link = new LinkTraffic({ pool, send: async () => {}, ...quiet })
  const transit = new Transit({
    linkTo: () => link,
    maxBytes,
    onward: () => undefined,
    onRefused: reason => refused.push(reason),
  })
  const send = (sizeBytes: number, count: number) => {
    for (let i = 0; i < count; i += 1) transit.forward(chunk(sizeBytes), 'a')
  }
  return { link, refused, send }
}

let last = 0n
function chunk(sizeBytes: number): Chunk {
  last += 1n
  const header = {
    source: 'a',
    dest: 'c',
    transfer: last,
    share: 0,
    chunk: 0,
    attempt: 0,
    path: ['a', 'b', 'c'],
    hop: 1,
  }
  const content = SecretKey.random(sizeBytes)
  return { ...header, weight: 256, weak: false, reserves: false, sizeBytes, content, sinceMs: 0 }
}

describe('Transit', () => {
  it('keeps as many bytes as it may, and wipes what is beyond', () => {
    const { link, refused, send } = createKeyless(10_000)
    send(1000, 12)
    expect([link.queuedBytes, link.queuedChunks]).to.deep.equal([10_000, 10])
    expect(refused).to.deep.equal(['no room', 'no room'])
  })

  it('bounds chunks that are next to empty by their number', () => {
    const { link, refused, send } = createKeyless(10_240)
    send(1, 50)
    expect(link.queuedChunks).to.equal(40)
    expect(refused).to.have.length(10)
  })
})
