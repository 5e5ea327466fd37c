import { once } from 'node:events'
import { type AddressInfo, connect as connectTcp, createServer as createTcpServer } from 'node:net'
import { expect } from 'chai'
import { attach, connect, createServer, qkdInfo, serverOptions } from '../../../integrations/tls/index.ts'
import { PoolExhaustedError } from '../../../lib/index.ts'
import { rejectsWith } from '../../helpers/rejects-with.ts'
import { createKmsPair } from './kms-pair.ts'
import { createHelloProxy } from './raw-peer.ts'
import { createTlsPair, next, watchServer } from './tls-pair.ts'
import { WatchedKms } from './watched-kms.ts'

describe('connect', () => {
  it('takes a key only when TCP stands', async () => {
    await using pair = await createTlsPair()
    const free = createTcpServer().listen(0, '127.0.0.1')
    await once(free, 'listening')
    const { port } = free.address() as AddressInfo
    free.close()
    await once(free, 'close')
    const error = await pair.connect({ port }).catch(error => error)
    expect(error.code).to.equal('ECONNREFUSED')
    expect(pair.alice.keys).to.be.empty
  })

  it('names the SAE ID that cannot stand in an identity, before it does anything', async () => {
    const { alice } = await createKmsPair()
    for (const peerSaeId of ['', 'BOB:1', 'a b', '#BOB', 'B~B', 'é', 'b'.repeat(89), 'alice']) {
      const error = await rejectsWith(connect(alice, { peerSaeId, port: 1 }), 'ERR_QKD_INVALID_ARGUMENT')
      expect(error.message).to.include('peerSaeId')
    }
  })

  it('passes the error of its KMS through', async () => {
    await using pair = await createTlsPair()
    pair.alice.alter = () => {
      throw new PoolExhaustedError('Empty')
    }
    await rejectsWith(pair.connect(), 'ERR_QKD_POOL_EXHAUSTED')
  })

  it('gives up when its signal aborts or its time is over, and rejects with that reason', async () => {
    const server = createTcpServer(socket => socket.resume().on('error', () => {}))
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    await using pair = await createTlsPair()
    const reason = new Error('Enough')
    const controller = new AbortController()
    server.once('connection', () => controller.abort(reason))
    expect(await pair.connect({ port, signal: controller.signal }).catch(error => error)).to.equal(reason)
    expect(await pair.connect({ signal: AbortSignal.abort(reason) }).catch(error => error)).to.equal(reason)
    const late = await pair.connect({ port, timeoutMs: 50 }).catch(error => error)
    expect(late.name).to.equal('TimeoutError')
    expect(pair.alice.keys.every(({ secret }) => secret.wiped)).to.equal(true)
    server.close()
    await once(server, 'close')
  })

  it('works over a connected socket, as after STARTTLS', async () => {
    await using pair = await createTlsPair()
    const raw = connectTcp({ port: pair.port, host: '127.0.0.1' })
    await once(raw, 'connect')
    const client = await pair.connect({ socket: raw })
    expect(qkdInfo(client)!.keyId).to.equal(qkdInfo(await next(pair.sessions))!.keyId)
    client.destroy()
  })

  it('takes no key for a socket that is closed already, or closes meanwhile', async () => {
    await using pair = await createTlsPair()
    const closed = connectTcp({ port: pair.port, host: '127.0.0.1' })
    await once(closed, 'connect')
    await rejectsWith(pair.connect({ socket: closed.destroy() }), 'ERR_QKD_PSK_HANDSHAKE')
    expect(pair.alice.keys).to.be.empty
    const closing = connectTcp({ port: pair.port, host: '127.0.0.1' })
    await once(closing, 'connect')
    pair.alice.alter = keys => {
      closing.destroy()
      return keys
    }
    await rejectsWith(pair.connect({ socket: closing }), 'ERR_QKD_PSK_HANDSHAKE')
    expect(pair.alice.keys.map(({ secret }) => secret.wiped)).to.deep.equal([true])
  })

  it('rejects when the server speaks something else than TLS, or closes at once', async () => {
    await using pair = await createTlsPair()
    for (const answer of ['220 ready\r\n', undefined]) {
      const server = createTcpServer(socket => {
        socket.resume().on('error', () => {})
        if (answer === undefined) socket.destroy()
        else socket.end(answer)
      })
      server.listen(0, '127.0.0.1')
      await once(server, 'listening')
      const { port } = server.address() as AddressInfo
      await rejectsWith(pair.connect({ port }), 'ERR_QKD_PSK_HANDSHAKE')
      server.close()
      await once(server, 'close')
    }
  })

  it('uses the one group that is required, at both ends', async () => {
    await using pair = await createTlsPair({ requireGroup: 'P-384' })
    for (const requireGroup of ['P-384', undefined]) {
      const client = await pair.connect({ requireGroup })
      expect(qkdInfo(await next(pair.sessions))!.group).to.equal('P-384')
      expect(qkdInfo(client)!.group).to.equal(requireGroup ?? 'secp384r1')
      client.destroy()
    }
    await rejectsWith(pair.connect({ requireGroup: 'X25519' }), 'ERR_QKD_PSK_HANDSHAKE')
    const error = await rejectsWith(pair.connect({ requireGroup: 'no-such-group' }), 'ERR_QKD_INVALID_ARGUMENT')
    expect(error.message).to.include('requireGroup')
  })

  it('never talks to itself through a reflector', async () => {
    for (const binding of ['role', 'raw'] as const) {
      const { alice } = await createKmsPair()
      const own = new WatchedKms(alice)
      const server = createServer(own, { peers: [{ saeId: 'bob', binding }] })
      await using watched = await watchServer(server)
      await using reflector = await createHelloProxy(watched.port, hello => [hello])
      const options = { peerSaeId: 'bob', host: '127.0.0.1', port: reflector.port, binding }
      const error = await rejectsWith(connect(own, options), 'ERR_QKD_PSK_HANDSHAKE')
      expect(error.details).to.deep.equal([{ alert: 51 }])
      expect(own.fetches).to.equal(0)
    }
  })

  it('makes no session when the two ends bind their keys differently', async () => {
    await using pair = await createTlsPair()
    await rejectsWith(pair.connect({ binding: 'raw' }), 'ERR_QKD_PSK_HANDSHAKE')
    expect((await next(pair.refusals)).reason).to.equal('binder')
  })

  it('makes each of many sessions at once under a key of its own', async () => {
    await using pair = await createTlsPair()
    const clients = await Promise.all(Array.from({ length: 25 }, () => pair.connect()))
    const keyIds = new Set(clients.map(client => qkdInfo(client)!.keyId))
    expect(keyIds.size).to.equal(25)
    for (const _ of clients) keyIds.delete(qkdInfo(await next(pair.sessions))!.keyId)
    expect(keyIds.size).to.equal(0)
    for (const client of clients) client.destroy()
  })

  it('reaches a server on a unix socket', async () => {
    const { alice, bob } = await createKmsPair()
    const { createServer: createTlsServer } = await import('node:tls')
    const server = createTlsServer(serverOptions({}))
    attach(server, bob, { peers: [{ saeId: 'alice' }] })
    const path = `\0qkdkit-test-${process.pid}`
    server.listen(path)
    await once(server, 'listening')
    const client = await connect(alice, { peerSaeId: 'bob', path })
    expect(qkdInfo(client)!.slaveSaeId).to.equal('bob')
    client.destroy()
    server.close()
    await once(server, 'close')
  })
})
