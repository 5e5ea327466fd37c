import { once } from 'node:events'
import { type AddressInfo, connect as connectTcp, createServer as createTcpServer } from 'node:net'
import { expect } from 'chai'
import {
  type ChannelListener,
  type ChannelListenerOptions,
  type ConnectChannelOptions,
  connect,
  connectChannel,
  createChannelListener,
  createServer,
  type PskChannel,
} from '../../../integrations/tls/index.ts'
import { createRemoteKms, type Kms } from '../../../lib/index.ts'
import { AsyncQueue } from '../../../lib/util/async-queue.ts'
import { type AgreementFixture, agreementCompliance } from '../../compliance/agreement.ts'
import { messageChannelCompliance } from '../../compliance/message-channel.ts'
import { rejectsWith } from '../../helpers/rejects-with.ts'
import { createServedTestSites } from '../../helpers/test-sites.ts'
import { createKmsPair } from './kms-pair.ts'
import { next, watchServer } from './tls-pair.ts'
import { WatchedKms } from './watched-kms.ts'

/** A listener at bob, and channels of alice to it. */
interface ChannelPair extends AsyncDisposable {
  readonly alice: Kms
  readonly bob: Kms
  readonly listener: ChannelListener
  readonly port: number
  readonly channels: AsyncQueue<PskChannel>
  dial(options?: Partial<ConnectChannelOptions>): Promise<PskChannel>
  /** A fresh channel: the end at alice and the end at bob. */
  open(): Promise<readonly [PskChannel, PskChannel]>
}

async function createChannelPair(
  { alice, bob }: { alice: Kms; bob: Kms },
  options: Partial<ChannelListenerOptions> = {},
): Promise<ChannelPair> {
  const channels = new AsyncQueue<PskChannel>()
  const listener = createChannelListener(bob, {
    peers: [{ saeId: 'alice' }],
    onChannel: channel => channels.push(channel),
    ...options,
  })
  const { host, port } = await listener.listen()
  const dial: ChannelPair['dial'] = dialOptions =>
    connectChannel(alice, { peerSaeId: 'bob', host, port, ...dialOptions })
  // One after the other: the listener can't tell which of its channels belongs to which call.
  let opened: Promise<unknown> = Promise.resolve()
  const openNext = async () => [await dial(), await next(channels)] as const
  return {
    alice,
    bob,
    listener,
    port,
    channels,
    dial,
    open: () => {
      const opening = opened.then(openNext)
      opened = opening.catch(() => {})
      return opening
    },
    [Symbol.asyncDispose]: () => listener.close(),
  }
}

messageChannelCompliance({
  backend: 'TLS under a key',
  setup: async () => {
    const pair = await createChannelPair(await createKmsPair())
    return { idA: 'alice', idB: 'bob', open: pair.open, pair }
  },
  teardown: fixture => (fixture as unknown as { pair: ChannelPair }).pair.listener.close(),
})

agreementCompliance({
  backend: 'embedded KMS, TLS',
  setup: () => createKmsPair().then(createChannelPair),
  teardown: fixture => (fixture as ChannelPair).listener.close(),
})

agreementCompliance({
  backend: 'remote KMS, TLS',
  setup: async () => {
    const sites = await createServedTestSites()
    const remote = (saeId: string, site: 0 | 1) =>
      createRemoteKms({ baseUrl: sites.sites[site].address.etsi014.url, saeId, ...sites.credentials(saeId) })
    const [alice, bob] = [remote('alice', 0), remote('bob', 1)]
    while ((await alice.getStatus('bob')).storedKeyCount === 0) await alice.getKey('bob').catch(() => {})
    const pair = await createChannelPair({ alice, bob })
    const close = async () => {
      await pair.listener.close()
      await Promise.all([alice.close(), bob.close()])
      await sites[Symbol.asyncDispose]()
    }
    return { ...pair, close }
  },
  teardown: fixture => (fixture as AgreementFixture & { close(): Promise<void> }).close(),
})

describe('connectChannel', () => {
  it('says at both ends what the session stands on', async () => {
    await using pair = await createChannelPair(await createKmsPair())
    const [a, b] = await pair.open()
    expect(a.session).to.include({ masterSaeId: 'alice', slaveSaeId: 'bob', level: 'quantum' })
    expect(b.session.keyId).to.equal(a.session.keyId)
    expect(a.group).to.be.a('string')
    expect(b.group).to.equal(a.group)
  })

  it('takes a key of its own for each channel, and none where nobody listens', async () => {
    const kms = await createKmsPair()
    const alice = new WatchedKms(kms.alice)
    const pair = await createChannelPair({ alice, bob: kms.bob })
    const channels = [...(await pair.open()), ...(await pair.open())]
    expect(new Set(channels.map(({ session }) => session.keyId)).size).to.equal(2)
    await pair.listener.close()
    expect((await pair.dial().catch(error => error)).code).to.equal('ECONNREFUSED')
    expect(alice.keys).to.have.length(2)
  })

  it('refuses an SAE that is not among the peers', async () => {
    const { alice, bob } = await createKmsPair()
    await using pair = await createChannelPair({ alice, bob }, { peers: [{ saeId: 'carol' }] })
    await rejectsWith(pair.dial(), 'ERR_QKD_PSK_HANDSHAKE')
    expect(pair.channels.size).to.equal(0)
  })

  it('refuses a server that is somebody else', async () => {
    const { alice, carol } = await createKmsPair()
    await using pair = await createChannelPair({ alice, bob: carol })
    await rejectsWith(pair.dial(), 'ERR_QKD_PSK_HANDSHAKE')
    expect(pair.channels.size).to.equal(0)
  })

  it('rejects where the right server does not speak as a channel', async () => {
    const { alice, bob } = await createKmsPair()
    const server = createServer(bob, { peers: [{ saeId: 'alice' }] }, socket => {
      socket.on('error', () => {}).end('HTTP/1.1 400 Bad Request\r\n\r\n')
    })
    await using watched = await watchServer(server)
    const dialling = connectChannel(alice, { peerSaeId: 'bob', host: '127.0.0.1', port: watched.port })
    await rejectsWith(dialling, 'ERR_QKD_CLOSED')
  })

  it('rejects with the reason of an abort, and with a TimeoutError when its time is over', async () => {
    const { alice } = await createKmsPair()
    const silent = createTcpServer(socket => socket.resume().on('error', () => {}))
    silent.listen(0, '127.0.0.1')
    await once(silent, 'listening')
    const { port } = silent.address() as AddressInfo
    const options = { peerSaeId: 'bob', host: '127.0.0.1', port }
    const reason = new Error('Enough')
    const controller = new AbortController()
    silent.once('connection', () => controller.abort(reason))
    expect(await connectChannel(alice, { ...options, signal: controller.signal }).catch(error => error)).to.equal(
      reason,
    )
    expect((await connectChannel(alice, { ...options, timeoutMs: 50 }).catch(error => error)).name).to.equal(
      'TimeoutError',
    )
    silent.close()
    await once(silent, 'close')
  })

  it('names the option that is wrong, before it does anything', async () => {
    const { alice, bob } = await createKmsPair()
    for (const options of [{ heartbeatMs: 0 }, { timeoutMs: 0 }, { peerSaeId: 'alice' }] as const) {
      const [name] = Object.keys(options)
      const dialling = connectChannel(alice, { peerSaeId: 'bob', port: 1, ...options })
      expect((await rejectsWith(dialling, 'ERR_QKD_INVALID_ARGUMENT')).message).to.include(name)
    }
    const listen = { peers: [{ saeId: 'alice' }], onChannel: () => {} }
    for (const options of [{ heartbeatMs: 60_001 }, { port: -1 }, { maxConnections: 0 }, { peers: [] }]) {
      const [name] = Object.keys(options)
      expect(() => createChannelListener(bob, { ...listen, ...options })).to.throw(name!)
    }
  })
})

describe('ChannelListener', () => {
  it('drops a session that never greets, or says something else', async () => {
    const kms = await createKmsPair()
    await using pair = await createChannelPair(kms, { deadlineMs: 200 })
    for (const words of [undefined, 'GET / HTTP/1.1\r\n\r\n']) {
      const socket = await connect(kms.alice, { peerSaeId: 'bob', host: '127.0.0.1', port: pair.port })
      socket.on('error', () => {}).resume()
      if (words !== undefined) socket.write(words)
      await once(socket, 'close')
    }
    expect(pair.channels.size).to.equal(0)
  })

  it('closes at once with a connection in the gate, and closes its channels', async () => {
    const pair = await createChannelPair(await createKmsPair())
    const [a, b] = await pair.open()
    const mute = connectTcp({ host: '127.0.0.1', port: pair.port })
    mute.on('error', () => {}).resume()
    await once(mute, 'connect')
    await Promise.all([pair.listener.close(), pair.listener.close()])
    if (!mute.closed) await once(mute, 'close')
    expect(await a.receive()).to.equal(undefined)
    await rejectsWith(b.receive(), 'ERR_QKD_CLOSED')
    await rejectsWith(pair.listener.listen(), 'ERR_QKD_CLOSED')
    await a.close()
  })

  it('holds the number of connections', async () => {
    await using pair = await createChannelPair(await createKmsPair(), { maxConnections: 1 })
    const [a, b] = await pair.open()
    expect(await pair.dial().catch(error => error)).to.be.instanceOf(Error)
    await a.send(Buffer.from('still here'))
    expect(Buffer.from((await b.receive())!).toString()).to.equal('still here')
  })

  it('rejects where the port is taken, and closes all the same', async () => {
    const kms = await createKmsPair()
    await using pair = await createChannelPair(kms)
    const second = createChannelListener(kms.bob, {
      peers: [{ saeId: 'alice' }],
      onChannel: () => {},
      port: pair.port,
    })
    expect((await second.listen().catch(error => error)).code).to.equal('EADDRINUSE')
    await second.close()
  })
})
