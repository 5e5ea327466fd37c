import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import { expect } from 'chai'
import { StreamChannel } from '../../lib/channel/stream-channel.ts'
import { createMemoryDuplexPair } from '../../lib/qll/memory-duplex.ts'
import { type MessageChannelFixture, messageChannelCompliance } from '../compliance/message-channel.ts'
import { rejectsWith } from '../helpers/rejects-with.ts'

const ids = { idA: 'site-a', idB: 'site-b' }

messageChannelCompliance({
  backend: 'stream, in memory',
  async setup() {
    return {
      ...ids,
      open: async () => {
        const [near, far] = createMemoryDuplexPair()
        return [
          new StreamChannel(near, { peerId: ids.idB, heartbeatMs: 1000 }),
          new StreamChannel(far, { peerId: ids.idA, heartbeatMs: 1000 }),
        ]
      },
    }
  },
  async teardown() {},
})

/** Two ends of a TCP connection. */
async function socketPair(server: Server): Promise<[Socket, Socket]> {
  const accepted = once(server, 'connection')
  const near = connect({ port: (server.address() as AddressInfo).port, host: '127.0.0.1', noDelay: true })
  await once(near, 'connect')
  return [near, ((await accepted) as [Socket])[0]]
}

const servers = new WeakMap<MessageChannelFixture, Server>()

messageChannelCompliance({
  backend: 'stream, over TCP',
  async setup() {
    const server = createServer({ noDelay: true }).listen(0, '127.0.0.1')
    await once(server, 'listening')
    const fixture: MessageChannelFixture = {
      ...ids,
      open: async () => {
        const [near, far] = await socketPair(server)
        return [
          new StreamChannel(near, { peerId: ids.idB, heartbeatMs: 1000 }),
          new StreamChannel(far, { peerId: ids.idA, heartbeatMs: 1000 }),
        ]
      },
    }
    servers.set(fixture, server)
    return fixture
  },
  async teardown(fixture) {
    const server = servers.get(fixture)!
    server.close()
    await once(server, 'close')
  },
})

describe('StreamChannel', () => {
  it('is lost when nothing is heard for three heartbeats', async () => {
    const [near, far] = createMemoryDuplexPair()
    const channel = new StreamChannel(near, { peerId: 'site-b', heartbeatMs: 10 })
    far.resume()
    const reason = await channel.lost
    expect(reason.message).to.match(/channel to site-b was lost: nothing was heard/)
    await rejectsWith(channel.receive(), 'ERR_QKD_CLOSED')
    far.destroy()
    await channel.close()
  })

  it('is lost when the other end speaks another language', async () => {
    const [near, far] = createMemoryDuplexPair()
    const channel = new StreamChannel(near, { peerId: 'site-b', heartbeatMs: 1000 })
    far.write('GET / HTTP/1.1\r\n\r\n')
    expect((await channel.lost).message).to.match(/larger than/)
    far.destroy()
    await channel.close()
  })
})
