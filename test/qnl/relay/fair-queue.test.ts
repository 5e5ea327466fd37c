import { expect } from 'chai'
import { SecretKey } from '../../../lib/key/secret-key.ts'
import { FairQueue } from '../../../lib/qnl/relay/fair-queue.ts'
import type { Chunk } from '../../../lib/qnl/relay/frame.ts'
import { areDisjoint, RelaySets } from '../../../lib/qnl/relay/relay-sets.ts'

const PATH = ['a', 'b', 'z']
let last = 0n

function chunk(dest: string, { weight = 256, sizeBytes = 1000 } = {}): Chunk {
  last += 1n
  const common = { source: 'a', dest, transfer: last, share: 0, chunk: 0, attempt: 0, path: PATH, hop: 1 }
  return { ...common, weak: false, reserves: false, weight, sizeBytes, content: SecretKey.random(8), sinceMs: 0 }
}

/** Bytes of each destination among the next so many. */
function sent(queue: FairQueue, bytes: number): Record<string, number> {
  const sums: Record<string, number> = {}
  for (let left = bytes; left > 0; ) {
    const next = queue.take(1_000_000)!
    sums[next.dest] = (sums[next.dest] ?? 0) + next.sizeBytes
    left -= next.sizeBytes
  }
  return sums
}

describe('FairQueue', () => {
  it('gives pairs bytes by their weights, whatever the sizes of their chunks', () => {
    const queue = new FairQueue()
    for (let i = 0; i < 2000; i += 1) queue.push(chunk('x', { sizeBytes: 200 }))
    for (let i = 0; i < 2000; i += 1) queue.push(chunk('y', { sizeBytes: 1000, weight: 512 }))
    const { x, y } = sent(queue, 600_000)
    expect(y! / x!).to.be.within(1.9, 2.1)
  })

  it('takes a chunk in once, and gives those of a pair in order', () => {
    const queue = new FairQueue()
    const [first, second] = [chunk('x'), chunk('x')]
    expect([queue.push(first), queue.push(first), queue.push(second)]).to.deep.equal([true, false, true])
    expect(queue.sizeBytes).to.equal(2000)
    expect([queue.take(5000), queue.take(5000), queue.take(5000)]).to.deep.equal([first, second, undefined])
    expect(queue.sizeBytes).to.equal(0)
  })

  it('keeps what does not fit, and lets go of what is picked', () => {
    const queue = new FairQueue()
    queue.push(chunk('x', { sizeBytes: 5000 }))
    queue.push(chunk('y'))
    queue.push(chunk('y'))
    expect(queue.remove(({ dest }) => dest === 'y').length).to.equal(2)
    expect(queue.take(4999)).to.equal(undefined)
    expect(queue.take(5000)?.sizeBytes).to.equal(5000)
  })
})

describe('RelaySets', () => {
  it('lets a relay, and who runs it, see one share alone, over all times it was sent', () => {
    const sets = new RelaySets(2, site => ({ c: 'op', d: 'op' })[site] ?? site)
    expect(sets.admit(0, ['a', 'b', 'z'])).to.equal(true)
    expect(sets.admit(1, ['a', 'c', 'z'])).to.equal(true)
    expect(sets.admit(0, ['a', 'd', 'z']), 'd is run by who runs c').to.equal(false)
    expect(sets.admit(1, ['a', 'b', 'z'])).to.equal(false)
    expect(sets.admit(1, ['a', 'd', 'z'])).to.equal(true)
    expect(sets.admit(2, ['a', 'e', 'z'])).to.equal(false)
    expect(sets.relays).to.deep.equal(['b', 'c', 'd'])
  })

  it('lets one share over the direct link, and none that was at a relay before (rule L7)', () => {
    const sets = new RelaySets(3)
    expect(sets.admit(0, ['a', 'b', 'z'])).to.equal(true)
    expect(sets.admit(1, ['a', 'z'])).to.equal(true)
    expect(sets.admit(2, ['a', 'z'])).to.equal(false)
    expect(sets.admit(0, ['a', 'z'])).to.equal(false)
    expect(sets.admit(1, ['a', 'c', 'z'])).to.equal(true)
    expect(sets.admit(1, ['a', 'z']), 'it may have been there, but so may another by now').to.equal(false)
    const whole = new RelaySets(1)
    expect(whole.admit(0, ['a', 'b', 'z']) && whole.admit(0, ['a', 'z'])).to.equal(true)
  })

  it('takes paths for disjoint that meet nowhere, with one direct link at most', () => {
    expect(
      areDisjoint([
        ['a', 'b', 'z'],
        ['a', 'c', 'z'],
        ['a', 'z'],
      ]),
    ).to.equal(true)
    expect(
      areDisjoint([
        ['a', 'b', 'z'],
        ['a', 'c', 'b', 'z'],
      ]),
    ).to.equal(false)
    expect(
      areDisjoint([
        ['a', 'z'],
        ['a', 'z'],
      ]),
    ).to.equal(false)
  })
})
