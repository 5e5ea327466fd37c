import { once } from 'node:events'
import { connect, createServer as createTcpServer, type Socket } from 'node:net'
import { createServer, type TLSSocket, connect as tlsConnect } from 'node:tls'
import { expect } from 'chai'
import { encodeFrame } from '../../lib/channel/frame.ts'
import { encodeHello } from '../../lib/channel/hello.ts'
import type { TlsChannel } from '../../lib/channel/tls-channel.ts'
import { type DialTlsChannelOptions, dialTlsChannel } from '../../lib/channel/tls-dial.ts'
import {
  createTlsChannelListener,
  type TlsChannelListener,
  type TlsChannelListenerOptions,
} from '../../lib/channel/tls-listener.ts'
import { AsyncQueue } from '../../lib/util/async-queue.ts'
import { tlsGroups } from '../../lib/util/tls-groups.ts'
import { messageChannelCompliance } from '../compliance/message-channel.ts'
import { rejectsWith } from '../helpers/rejects-with.ts'
import { createTestAuthority } from '../helpers/test-certificates.ts'

const authority = createTestAuthority()
const credentialsA = authority.issue('kme-a')
const credentialsB = authority.issue('kme-b')
const known = new Set(['kme-a', 'kme-b'])
const identify: DialTlsChannelOptions['identify'] = ({ commonName }) =>
  commonName !== undefined && known.has(commonName) ? commonName : undefined

/** A listener at B and the channels that it accepts. */
async function listenAtB(options: Partial<TlsChannelListenerOptions> = {}) {
  const channels = new AsyncQueue<TlsChannel>()
  const listener = createTlsChannelListener({
    ...credentialsB,
    identify,
    onChannel: channel => channels.push(channel),
    ...options,
  })
  await listener.listen()
  return { listener, next: async () => (await channels.take({ signal: AbortSignal.timeout(5_000) }))!, channels }
}

const dial = (listener: TlsChannelListener, options: Partial<DialTlsChannelOptions> = {}) =>
  dialTlsChannel({ ...listener.address, ...credentialsA, identify, expectedPeerId: 'kme-b', ...options })

messageChannelCompliance({
  backend: 'mutual TLS',
  setup: async () => {
    const { listener, next } = await listenAtB()
    const open = async () => [await dial(listener), await next()] as const
    return { idA: 'kme-a', idB: 'kme-b', open, listener }
  },
  teardown: fixture => (fixture as unknown as { listener: TlsChannelListener }).listener.close(),
})

describe('dialTlsChannel', () => {
  it('tells both ends the key exchange group, post-quantum where this Node has ML-KEM', async () => {
    const { listener, next } = await listenAtB()
    const a = await dial(listener)
    const b = await next()
    const expected = tlsGroups().includes('MLKEM') ? 'X25519MLKEM768' : 'X25519'
    expect(a.group).to.equal(expected)
    expect(b.group).to.equal(expected)
    expect(a.postQuantum).to.equal(expected.includes('MLKEM'))
    expect(b.postQuantum).to.equal(a.postQuantum)
    await listener.close()
  })

  it('refuses a peer that is not the expected one', async () => {
    const { listener, channels } = await listenAtB()
    const error = await rejectsWith(dial(listener, { expectedPeerId: 'kme-c' }), 'ERR_QKD_KME_UNREACHABLE')
    expect(error.message).to.include('kme-b')
    await listener.close()
    expect(channels.size).to.equal(0)
  })

  it('refuses a peer whose certificate another authority signed', async () => {
    const { listener } = await listenAtB({ ...createTestAuthority('Rogue CA').issue('kme-b'), ca: authority.ca })
    await rejectsWith(dial(listener), 'ERR_QKD_KME_UNREACHABLE')
    await listener.close()
  })

  it('hears of it when the listener does not know this end', async () => {
    const { listener, channels } = await listenAtB({ identify: () => undefined })
    await rejectsWith(dial(listener), 'ERR_QKD_KME_UNREACHABLE')
    await listener.close()
    expect(channels.size).to.equal(0)
  })

  it('hears of it when the listener does not trust the authority of this end', async () => {
    const { listener, channels } = await listenAtB()
    const rogue = createTestAuthority('Rogue CA').issue('kme-a')
    await rejectsWith(dial(listener, { ...rogue, ca: authority.ca }), 'ERR_QKD_KME_UNREACHABLE')
    await listener.close()
    expect(channels.size).to.equal(0)
  })

  it('rejects when nobody listens', async () => {
    const { listener } = await listenAtB()
    const { address } = listener
    await listener.close()
    const options = { ...address, ...credentialsA, identify, expectedPeerId: 'kme-b' }
    await rejectsWith(dialTlsChannel(options), 'ERR_QKD_KME_UNREACHABLE')
  })

  it('gives up on a peer that never answers, and rethrows the reason of an abort', async () => {
    const sockets: Socket[] = []
    const silent = createTcpServer(socket => void sockets.push(socket)).listen(0, '127.0.0.1')
    await once(silent, 'listening')
    const { port } = silent.address() as { port: number }
    const options = { host: '127.0.0.1', port, ...credentialsA, identify, expectedPeerId: 'kme-b' }
    await rejectsWith(dialTlsChannel({ ...options, timeoutMs: 50 }), 'ERR_QKD_KME_UNREACHABLE')
    const reason = new Error('no patience')
    const controller = new AbortController()
    const dialling = dialTlsChannel({ ...options, signal: controller.signal }).catch((error: unknown) => error)
    await once(silent, 'connection')
    controller.abort(reason)
    expect(await dialling).to.equal(reason)
    for (const socket of sockets) socket.destroy()
    silent.close()
  })

  it('names what is wrong with the credentials before it connects', async () => {
    const options = { host: '127.0.0.1', port: 1, identify, expectedPeerId: 'kme-b' }
    const { key, cert, ca } = credentialsA
    await rejectsWith(dialTlsChannel({ ...options, key, ca }), 'ERR_QKD_INVALID_ARGUMENT')
    await rejectsWith(dialTlsChannel({ ...options, key, cert, ca: '' }), 'ERR_QKD_INVALID_ARGUMENT')
    await rejectsWith(dialTlsChannel({ ...options, key: credentialsB.key, cert, ca }), 'ERR_QKD_INVALID_ARGUMENT')
  })
})

describe('TlsChannelListener', () => {
  it('refuses TLS 1.2', async () => {
    const { listener } = await listenAtB()
    const socket = tlsConnect({ ...listener.address, ...credentialsA, maxVersion: 'TLSv1.2' })
    const [error] = (await once(socket, 'error').catch(error => [error])) as [Error]
    expect(error).to.be.instanceOf(Error)
    await listener.close()
  })

  it('drops a connection that sends anything but a hello', async () => {
    const { listener, channels } = await listenAtB()
    for (const junk of [encodeFrame(Buffer.from('qkdkit/2 channel and more')), Buffer.alloc(64, 0x7f)]) {
      const socket = tlsConnect({ ...listener.address, ...credentialsA })
      socket.on('error', () => {})
      socket.resume()
      socket.write(junk)
      await once(socket, 'close')
    }
    await listener.close()
    expect(channels.size).to.equal(0)
  })

  it('drops a connection that never greets, or never begins a handshake', async () => {
    const { listener } = await listenAtB({ handshakeTimeoutMs: 50 })
    const mute = tlsConnect({ ...listener.address, ...credentialsA })
    mute.on('error', () => {})
    mute.resume()
    const tcp = connect(listener.address)
    tcp.on('error', () => {})
    tcp.resume()
    await Promise.all([once(mute, 'close'), once(tcp, 'close')])
    await listener.close()
  })

  it('closes at once with a handshake under way, and closes its channels', async () => {
    const { listener, next } = await listenAtB()
    const tcp = connect(listener.address)
    tcp.on('error', () => {})
    await once(tcp, 'connect')
    const a = await dial(listener)
    const b = await next()
    await listener.close()
    expect(await a.receive()).to.equal(undefined)
    await rejectsWith(b.receive(), 'ERR_QKD_CLOSED')
    await rejectsWith(listener.listen(), 'ERR_QKD_CLOSED')
    tcp.destroy()
  })

  it('holds the number of connections', async () => {
    const { listener, next } = await listenAtB({ maxConnections: 1 })
    const first = await dial(listener)
    const b = await next()
    await rejectsWith(dial(listener), 'ERR_QKD_KME_UNREACHABLE')
    await first.send(Buffer.from('still here'))
    expect(Buffer.from((await b.receive())!).toString()).to.equal('still here')
    await listener.close()
  })
})

describe('TlsChannel', () => {
  /** A channel at A whose other end is a bare TLS socket that has greeted. */
  async function withBarePeer(run: (a: TlsChannel, peer: TLSSocket) => Promise<void>, heartbeatMs = 10_000) {
    const server = createServer({ ...credentialsB, requestCert: true, ecdhCurve: tlsGroups() })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as { port: number }
    const accepted = once(server, 'secureConnection') as Promise<[TLSSocket]>
    const dialling = dialTlsChannel({ host: '127.0.0.1', port, ...credentialsA, identify, expectedPeerId: 'kme-b' })
    const [peer] = await accepted
    peer.on('error', () => {})
    peer.resume()
    peer.write(encodeFrame(encodeHello({ heartbeatMs, group: undefined })))
    const a = await dialling
    try {
      await run(a, peer)
    } finally {
      await a.close()
      peer.destroy()
      server.close()
    }
  }

  it('loses the channel on a frame that is too large, after what came before it', async () => {
    await withBarePeer(async (a, peer) => {
      peer.write(Buffer.concat([encodeFrame(Buffer.from('good')), Buffer.from('7fffffff00', 'hex')]))
      expect(Buffer.from((await a.receive())!).toString()).to.equal('good')
      const error = await rejectsWith(a.receive(), 'ERR_QKD_CLOSED')
      expect(error.message).to.include('larger than')
      await rejectsWith(a.send(Buffer.from('x')), 'ERR_QKD_CLOSED')
    })
  })

  it('puts frames together however they are cut', async () => {
    await withBarePeer(async (a, peer) => {
      const stream = Buffer.concat([encodeFrame(Buffer.from('one')), Buffer.alloc(4), encodeFrame(Buffer.from('two'))])
      for (const byte of stream) peer.write(Uint8Array.of(byte))
      expect(Buffer.from((await a.receive())!).toString()).to.equal('one')
      expect(Buffer.from((await a.receive())!).toString()).to.equal('two')
    })
  })

  it('tells an end without a good-bye as a loss, not as a close', async () => {
    await withBarePeer(async (a, peer) => {
      peer.write(encodeFrame(Buffer.from('last words')))
      peer.end()
      expect(Buffer.from((await a.receive())!).toString()).to.equal('last words')
      const error = await rejectsWith(a.receive(), 'ERR_QKD_CLOSED')
      expect(error.message).to.include('lost')
    })
  })

  it('loses a channel whose other end has fallen silent', async () => {
    await withBarePeer(async a => {
      const error = await rejectsWith(a.receive(), 'ERR_QKD_CLOSED')
      expect(error.message).to.include('nothing was heard')
    }, 20)
  })

  it('keeps an idle channel while its other end lets hear of itself', async () => {
    const { listener, next } = await listenAtB({ heartbeatMs: 20 })
    const a = await dial(listener, { heartbeatMs: 20 })
    const b = await next()
    const waiting = b.receive()
    const quiet = await Promise.race([waiting, new Promise(resolve => setTimeout(resolve, 300, 'quiet'))])
    expect(quiet).to.equal('quiet')
    await a.send(Buffer.from('still here'))
    expect(Buffer.from((await waiting)!).toString()).to.equal('still here')
    await listener.close()
  })
})
