import { expect } from 'chai'
import { ConfirmTime } from '../../../lib/qnl/relay/confirm-time.ts'
import { type LoggedFrame, readFrame, watchedChannel } from '../../helpers/frame-log.ts'
import { createRelayNetwork } from '../../helpers/relay-network.ts'

const bounds = { leastMs: 100, mostMs: 10_000 }

describe('ConfirmTime', function () {
  this.timeout(30_000)

  it('is patient before it knows anything', () => {
    expect(new ConfirmTime().patienceMs(bounds)).to.equal(500)
  })

  it('comes down to the least where blocks are confirmed at once', () => {
    const time = new ConfirmTime()
    for (let at = 0; at < 40; at += 1) time.observe(5)
    expect(time.patienceMs(bounds)).to.equal(100)
  })

  it('grows with a way that takes longer, and at once with one that takes longer at times', () => {
    const time = new ConfirmTime()
    for (let at = 0; at < 40; at += 1) time.observe(1000)
    expect(time.patienceMs(bounds)).to.be.within(1000, 1100)
    time.observe(3000)
    expect(time.patienceMs(bounds)).to.be.above(3000)
    time.observe(60_000)
    expect(time.patienceMs(bounds)).to.equal(10_000)
  })

  it('sends nothing again that only waits for key of its first link', async () => {
    const frames: LoggedFrame[] = []
    await using network = await createRelayNetwork({
      links: ['a-b', 'b-c'],
      // A block takes 128 ms: with those before it in the queue far more than `resendMs`.
      rateBps: 2_000_000,
      limits: { resendMs: 200 },
      tap: (channel, from, to) =>
        watchedChannel(channel, message => {
          const frame = readFrame(message, from, to)
          if (frame !== undefined) frames.push(frame)
        }),
    })
    network.plan({ paths: ['a-b-c'], rateBps: 50_000_000 })
    for (let taken = 0; taken < 16; taken += 1) {
      const ends = [network.node('a').nextBlock('c'), network.node('c').nextBlock('a')]
      for (const { secret } of await Promise.all(ends)) secret.wipe()
    }
    const chunks = frames.filter(({ from }) => from === 'a').flatMap(frame => frame.chunks)
    expect(chunks.length).to.be.at.least(16)
    expect(chunks.filter(({ attempt }) => attempt > 0)).to.deep.equal([])
  })
})
