import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { expect } from 'chai'
import { StreamChannel } from '../../../../lib/channel/stream-channel.ts'
import { SecretKey } from '../../../../lib/key/secret-key.ts'
import { encodeIntroduction, type Purpose } from '../../../../lib/qll/bb84/link/introduction.ts'
import { SeededRandom } from '../../../../lib/qll/bb84/random.ts'
import { MESSAGE } from '../../../../lib/qll/bb84/session/conversation.ts'
import { statusOf } from '../../../compliance/link-status.ts'
import { attackedLink, auditAuthentication } from '../../../helpers/attacked-link.ts'
import type { Sender } from '../../../helpers/frame-relay.ts'

const LENGTH_BYTES = 4
/** How an introduction begins. */
const INTRODUCTION = 0x716b6462

async function dial(port: number): Promise<Socket> {
  const socket = connect({ port, host: '127.0.0.1' }).on('error', () => {})
  await once(socket, 'connect')
  return socket
}

function framed(message: Buffer): Buffer {
  const header = Buffer.alloc(LENGTH_BYTES)
  header.writeUInt32BE(message.byteLength)
  return Buffer.concat([header, message])
}

/** Somebody who says that he is Bob, and can't prove it. */
async function pretend(port: number, purpose: Purpose = 'talk'): Promise<StreamChannel> {
  const channel = new StreamChannel(await dial(port), { peerId: 'alice', heartbeatMs: 1000 })
  const introduction = { purpose, linkId: 'alice-bob', siteId: 'bob', peerSiteId: 'alice', spares: [] }
  await channel.send(encodeIntroduction(introduction))
  return channel
}

describe('Bb84Link among hostile visitors', function () {
  this.timeout(60_000)

  it('comes up at once after hundreds have said that they are Bob and gone', async () => {
    await using ends = await attackedLink({ bob: false })
    for (let round = 0; round < 30; round++) {
      const visitors = await Promise.all(Array.from({ length: 10 }, () => pretend(ends.port)))
      await Promise.all(visitors.map(visitor => visitor.close({ signal: AbortSignal.abort() })))
    }
    ends.startBob()
    for (const end of [ends.alice, ends.bob]) await statusOf(end, ({ state }) => state === 'up')
    await ends.matcher.match(5)
  })

  it('gives no key to somebody who plays a whole session again', async () => {
    await using ends = await attackedLink({ bob: false })
    const said: Buffer[] = []
    ends.relay.tamper((message, from) => {
      if (from === 'bob') said.push(Buffer.from(message))
      return [message]
    })
    ends.startBob()
    await ends.matcher.match(20)
    await ends.bob.close()
    await statusOf(ends.alice, ({ state }) => state === 'down')
    const blocks = ends.reports.filter(({ end }) => end === 'alice').length
    for (let round = 0; round < 3; round++) {
      const socket = await dial(ends.port)
      for (const message of said) socket.write(framed(message))
      socket.resume()
      if (!socket.destroyed) await once(socket, 'close')
    }
    expect(said.length).to.be.above(20)
    expect(ends.reports.filter(({ end }) => end === 'alice').slice(blocks)).to.deep.equal([])
    expect(ends.alice.status().state).to.equal('down')
  })

  it('comes back from silence in any phase: signs of life go on, and nothing is said any more', async () => {
    await using ends = await attackedLink()
    const random = SeededRandom.of(7)
    await ends.matcher.match(3)
    for (let round = 0; round < 6; round++) {
      const [mute, from] = [(round % 2 === 0 ? 'alice' : 'bob') satisfies Sender, random.below(90)]
      let [muted, over] = [false, false]
      ends.relay.tamper((message, sender, at) => {
        // Until the next session: each begins with an introduction of both.
        over ||= muted && message.byteLength > LENGTH_BYTES && message.readUInt32BE() === INTRODUCTION
        muted ||= sender === mute && at >= from
        // Of an end that is not ready the other one thinks nothing: it may have no room.
        return muted && !over && sender === mute && message[0] !== MESSAGE.ready ? [] : [message]
      })
      await ends.matcher.match(40)
      await ends.matcher.realign()
    }
    ends.relay.tamper(undefined)
    await ends.matcher.match(20)
    auditAuthentication(ends)
  })

  it('does not take an end for up on a greeting that was said before', async () => {
    const psk = SecretKey.random(32)
    const said: Buffer[] = []
    {
      await using ends = await attackedLink({ psk, bob: false })
      ends.relay.tamper((message, from) => {
        if (from === 'bob' && said.length < 2) said.push(Buffer.from(message))
        return [message]
      })
      ends.startBob()
      await ends.matcher.match(1)
    }
    // Both were started anew, as the keys that they had for later sessions are gone.
    await using ends = await attackedLink({ psk, bob: false })
    const states: string[] = []
    ends.alice.onStatus(({ state }) => states.push(state))
    const socket = await dial(ends.port)
    for (const message of said) socket.write(framed(message))
    socket.resume()
    await once(socket, 'close')
    expect(said).to.have.length(2)
    expect(states).to.not.include('up')
  })

  it('holds no more of a flood than its bounds, and goes on beside it', async () => {
    await using ends = await attackedLink()
    await ends.matcher.match(5)
    const before = process.memoryUsage()
    const junk = SeededRandom.of(11)
    const flood = async (at: number) => {
      const socket = await dial(ends.port)
      socket.resume()
      // A frame of the greatest length that never ends, a frame that is too long, noise, signs of life without end.
      const chunk = Buffer.alloc(65_536)
      if (at % 4 === 2) for (let i = 0; i < chunk.byteLength; i++) chunk[i] = junk.below(256)
      else chunk.writeUInt32BE([3 * 1024 * 1024, 0x7fff_ffff, 0, 0xffff_ffff][at % 4]!)
      if (at % 4 === 3) chunk.fill(0xff)
      for (let sent = 0; sent < 64 && socket.writable; sent++) {
        if (!socket.write(chunk)) await Promise.race([once(socket, 'drain'), once(socket, 'close')]).catch(() => {})
      }
      return socket
    }
    const floods = Promise.all(Array.from({ length: 8 }, (_, at) => flood(at)))
    await ends.matcher.match(60)
    const sockets = await floods
    const after = process.memoryUsage()
    const grownBytes = after.arrayBuffers - before.arrayBuffers
    // 8 visitors, each with a frame of a few MiB at most.
    expect(grownBytes).to.be.below(64 * 1024 * 1024)
    expect(ends.alice.status().state).to.equal('up')
    for (const socket of sockets) socket.destroy()
  })
})
