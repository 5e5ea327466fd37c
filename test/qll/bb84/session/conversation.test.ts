import { randomBytes } from 'node:crypto'
import { expect } from 'chai'
import { createMemoryChannelPair } from '../../../../lib/channel/memory-channel.ts'
import { MAX_MESSAGE_BYTES, type MessageChannel } from '../../../../lib/interface/message-channel.ts'
import { SecretKey } from '../../../../lib/key/secret-key.ts'
import { WegmanCarter } from '../../../../lib/key/wegman-carter.ts'
import { Conversation, MESSAGE } from '../../../../lib/qll/bb84/session/conversation.ts'
import { rejectsWith } from '../../../helpers/rejects-with.ts'

function pairOf() {
  const channels = createMemoryChannelPair(['alice', 'bob'])
  const key = randomBytes(1024)
  const end = (role: 'alice' | 'bob', channel: MessageChannel) =>
    new Conversation(channel, {
      role,
      authenticator: new WegmanCarter(SecretKey.copyOf(key), { role: role === 'alice' ? 'initiator' : 'responder' }),
    })
  return { alice: end('alice', channels[0]), bob: end('bob', channels[1]), channels }
}

describe('Conversation', () => {
  it('carries messages in both directions, sealed ones with all that came before them', async () => {
    const { alice, bob } = pairOf()
    await alice.send(MESSAGE.start, [], {})
    await alice.send(MESSAGE.sifted, [Buffer.from('a'), Buffer.from('b')], {})
    await bob.send(MESSAGE.sampled, [Buffer.from('c')], {})
    expect((await bob.receive([MESSAGE.start], {})).body.byteLength).to.equal(0)
    expect((await bob.receive([MESSAGE.sifted, MESSAGE.abort], {})).body.toString()).to.equal('ab')
    expect((await alice.receive([MESSAGE.sampled], {})).body.toString()).to.equal('c')
  })

  it('refuses a seal when an unsealed message before it was another one', async () => {
    const { alice, bob, channels } = pairOf()
    await alice.send(MESSAGE.parities, [Buffer.of(1, 2)], {})
    const message = (await channels[1].receive())!
    message[2]! ^= 1
    await channels[0].send(message)
    await alice.send(MESSAGE.amplify, [Buffer.of(3)], {})
    expect((await bob.receive([MESSAGE.parities], {})).body).to.deep.equal(Buffer.of(1, 3))
    await rejectsWith(bob.receive([MESSAGE.amplify], {}), 'ERR_QKD_UNAUTHORIZED')
  })

  it('refuses what was said in another session', async () => {
    const { alice, bob } = pairOf()
    alice.bind(Buffer.from('one'))
    bob.bind(Buffer.from('two'))
    await alice.send(MESSAGE.done, [], {})
    await rejectsWith(bob.receive([MESSAGE.done], {}), 'ERR_QKD_UNAUTHORIZED')
  })

  it('refuses a message of a type that does not belong, and one that is cut short', async () => {
    const { alice, bob, channels } = pairOf()
    await alice.send(MESSAGE.start, [], {})
    await rejectsWith(bob.receive([MESSAGE.clicks], {}), 'ERR_QKD_PROTOCOL')
    for (const bytes of [[MESSAGE.done], [MESSAGE.done, 0], [MESSAGE.done, 0, 9], [MESSAGE.done, 255, 255]]) {
      await channels[0].send(Buffer.from(bytes))
      await rejectsWith(bob.receive([MESSAGE.done], {}), 'ERR_QKD_PROTOCOL')
    }
  })

  it('refuses to send more than a channel carries', async () => {
    const { alice } = pairOf()
    await rejectsWith(alice.send(MESSAGE.clicks, [new Uint8Array(MAX_MESSAGE_BYTES)], {}), 'ERR_QKD_PROTOCOL')
  })

  it('says that the other end has gone', async () => {
    const { bob, channels } = pairOf()
    await channels[0].close()
    await rejectsWith(bob.receive([MESSAGE.start], {}), 'ERR_QKD_CLOSED')
  })
})
