import { expect } from 'chai'
import { PeerChannel } from '../../../../integrations/strongswan/peer/peer-channel.ts'
import { encodePeerMessage, type PeerMessage } from '../../../../integrations/strongswan/peer/peer-message.ts'
import { createMemoryChannelPair } from '../../../../lib/channel/memory-channel.ts'
import { rejectsWith } from '../../../helpers/rejects-with.ts'

const prepare = (epoch: number): PeerMessage => ({ type: 'prepare', epoch })

function createEnds() {
  const [raw, far] = createMemoryChannelPair(['alice', 'bob'])
  const wanted: string[] = []
  const channel = new PeerChannel(far, reason => wanted.push(reason))
  return { raw, channel, wanted, [Symbol.asyncDispose]: () => channel.close() }
}

describe('PeerChannel', () => {
  it('keeps the messages of an agreement apart from its own', async () => {
    await using ends = createEnds()
    await ends.raw.send(Buffer.from('qka1 first'))
    await ends.raw.send(encodePeerMessage(prepare(1), 0))
    await ends.raw.send(Buffer.from('qka1 second'))
    expect(await ends.channel.receive()).to.deep.equal(prepare(1))
    expect(Buffer.from((await ends.channel.agreement.receive())!).toString()).to.equal('qka1 first')
    ends.channel.clearAgreement()
    await ends.raw.send(Buffer.from('qka1 third'))
    expect(Buffer.from((await ends.channel.agreement.receive())!).toString()).to.equal('qka1 third')
  })

  it('passes a second copy over', async () => {
    await using ends = createEnds()
    for (const number of [0, 0, 1, 0, 1]) await ends.raw.send(encodePeerMessage(prepare(number), number))
    await ends.raw.send(encodePeerMessage(prepare(2), 2))
    for (const epoch of [0, 1, 2]) expect(await ends.channel.receive()).to.deep.equal(prepare(epoch))
  })

  for (const [what, bytes] of [
    ['a message is missing', encodePeerMessage(prepare(1), 1)],
    ['a message is none', Buffer.from('{}')],
  ] as const) {
    it(`closes where ${what}`, async () => {
      await using ends = createEnds()
      await ends.raw.send(bytes)
      await rejectsWith(ends.channel.receive(), 'ERR_QKD_CLOSED')
      await ends.channel.over
      await rejectsWith(ends.channel.send(prepare(1)), 'ERR_QKD_CLOSED')
      expect(await ends.raw.receive()).to.equal(undefined)
    })
  }

  it('closes on more than anybody takes', async () => {
    await using ends = createEnds()
    for (let number = 0; number < 70; number += 1) {
      await ends.raw.send(encodePeerMessage(prepare(number), number)).catch(() => {})
    }
    await ends.channel.over
    expect(ends.channel.closed).to.equal(true)
  })

  it('tells at once that a rotation is wanted, whatever else waits', async () => {
    await using ends = createEnds()
    await ends.raw.send(encodePeerMessage({ type: 'wanted', reason: 'down' }, 0))
    await ends.raw.send(encodePeerMessage(prepare(1), 1))
    expect(await ends.channel.receive()).to.deep.equal(prepare(1))
    expect(ends.wanted).to.deep.equal(['down'])
  })
})
