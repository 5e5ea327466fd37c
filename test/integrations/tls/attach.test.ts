import { once } from 'node:events'
import { connect as connectHttp2, createSecureServer } from 'node:http2'
import { createServer as createHttpsServer, request } from 'node:https'
import type { Socket } from 'node:net'
import { Duplex } from 'node:stream'
import { connect as connectTls, createServer as createTlsServer } from 'node:tls'
import { expect } from 'chai'
import { attach, connect, createServer, qkdInfo, serverOptions } from '../../../integrations/tls/index.ts'
import { createTestAuthority } from '../../helpers/test-certificates.ts'
import { createKmsPair } from './kms-pair.ts'
import { drawPskOptions, outcome } from './plain-client.ts'
import { next, readAll, watchServer } from './tls-pair.ts'
import { WatchedKms } from './watched-kms.ts'

const peers = [{ saeId: 'alice' }]

describe('attach', () => {
  it('puts an HTTPS server under keys', async () => {
    const { alice, bob } = await createKmsPair()
    const credentials = createTestAuthority().issue('bob.example')
    const server = createHttpsServer({ ...credentials, ...serverOptions({}) }, (incoming, response) => {
      const { keyId } = qkdInfo(incoming.socket)!
      incoming.resume().on('end', () => response.end(`${keyId} ${incoming.socket.remoteAddress}`))
    })
    attach(server, bob, { peers })
    await using watched = await watchServer(server)
    const socket = await connect(alice, { peerSaeId: 'bob', host: '127.0.0.1', port: watched.port })
    const post = request({ method: 'POST', path: '/', createConnection: () => socket })
    post.end(Buffer.alloc(1024 * 1024))
    const [response] = await once(post, 'response')
    expect((await readAll(response)).toString()).to.equal(`${qkdInfo(socket)!.keyId} 127.0.0.1`)
  })

  it('puts an HTTP/2 server under keys, through the proxies of its sessions', async () => {
    const { alice, bob } = await createKmsPair()
    const server = createSecureServer({ ...serverOptions({}) })
    server.on('stream', stream => stream.end(qkdInfo(stream.session!.socket!)!.keyId))
    attach(server, bob, { peers })
    await using watched = await watchServer(server)
    const options = { peerSaeId: 'bob', host: '127.0.0.1', port: watched.port, ALPNProtocols: ['h2'] }
    const socket = await connect(alice, options)
    const client = connectHttp2('https://bob.example', { createConnection: () => socket })
    expect((await readAll(client.request({ ':path': '/' }))).toString()).to.equal(qkdInfo(socket)!.keyId)
    expect(qkdInfo(client.socket)!.keyId).to.equal(qkdInfo(socket)!.keyId)
    client.destroy()
  })

  it('serves connections over streams that are no sockets', async () => {
    const { alice, bob } = await createKmsPair()
    const server = createTlsServer(serverOptions({}), socket => socket.pipe(socket))
    attach(server, bob, { peers })
    await using watched = await watchServer(server)
    const [near, far] = createDuplexPair()
    server.emit('connection', far)
    const client = await connect(alice, { peerSaeId: 'bob', socket: near })
    client.end('there and back')
    expect((await readAll(client)).toString()).to.equal('there and back')
    expect(qkdInfo(await next(watched.sessions))!.masterSaeId).to.equal('alice')
  })

  it('gives the key of a stream back that is gone in the turn in which it was let in', async () => {
    const { alice, bob } = await createKmsPair()
    const watchedBob = new WatchedKms(bob)
    const server = createTlsServer(serverOptions({}))
    attach(server, watchedBob, { peers })
    await using watched = await watchServer(server)
    const { options } = await drawPskOptions(alice)
    const [near, far] = createDuplexPair()
    watchedBob.alter = keys => {
      far.destroy()
      return keys
    }
    server.emit('connection', far)
    const client = connectTls({ socket: near, ...options }).on('error', () => {})
    expect((await next(watched.refusals)).reason).to.equal('closed')
    client.destroy()
    expect(await outcome(watched, options)).to.equal('session')
    expect(watchedBob.fetches).to.equal(1)
  })

  it('tells listeners of a connection only when its key is at hand, whenever they were added', async () => {
    const { alice, bob } = await createKmsPair()
    const server = createTlsServer(serverOptions({}))
    const seen: string[] = []
    server.prependListener('connection', () => seen.push('before'))
    attach(server, bob, { peers })
    server.on('connection', (socket: Socket) => seen.push(`after ${socket.bytesRead > 0}`))
    await using watched = await watchServer(server)
    ;(await connect(alice, { peerSaeId: 'bob', host: '127.0.0.1', port: watched.port })).destroy()
    expect(seen).to.deep.equal(['before', 'after true'])
  })

  it('serves again after the server was closed and listens anew', async () => {
    const { alice, bob } = await createKmsPair()
    const server = createTlsServer(serverOptions({}))
    attach(server, bob, { peers })
    for (let n = 0; n < 2; n += 1) {
      await using watched = await watchServer(server)
      ;(await connect(alice, { peerSaeId: 'bob', host: '127.0.0.1', port: watched.port })).destroy()
    }
  })

  it('refuses a server that was made without the options it needs, naming what is missing', async () => {
    const { bob } = await createKmsPair()
    const options = serverOptions({})
    for (const [given, missing] of [
      [{}, 'pskCallback'],
      [{ ...options, pskCallback: () => null }, 'pskCallback'],
      [{ ...options, ciphers: 'TLS_AES_256_GCM_SHA384:TLS_AES_128_GCM_SHA256' }, 'ciphers'],
      [{ ...options, minVersion: 'TLSv1.2' }, 'minVersion'],
      [{ ...options, secureOptions: 0 }, 'secureOptions'],
    ] as const) {
      expect(() => attach(createTlsServer(given), bob, { peers })).to.throw(missing)
    }
    const demand = { peers, requireGroup: 'P-384' }
    expect(() => attach(createTlsServer(options), bob, demand)).to.throw('ecdhCurve')
  })

  it('refuses a server that is attached already', async () => {
    const { bob } = await createKmsPair()
    const server = createTlsServer(serverOptions({}))
    attach(server, bob, { peers })
    expect(() => attach(server, bob, { peers })).to.throw('already')
  })
})

describe('the options of a server', () => {
  it('are checked at once, each fault by its name', async () => {
    const { bob } = await createKmsPair()
    for (const [options, name] of [
      [{ peers: [] }, 'peers'],
      [{}, 'peers'],
      [{ peers: [{ saeId: 'bob' }] }, 'peers[0].saeId'],
      [{ peers: [{ saeId: 'alice' }, { saeId: 'alice' }] }, 'peers[1].saeId'],
      [{ peers: [{ saeId: 'urn:sae:alice' }] }, 'peers[0].saeId'],
      [{ peers: [{ saeId: 'a'.repeat(89) }] }, 'peers[0].saeId'],
      [{ peers: [{ saeId: 'alice', binding: 'none' }] }, 'peers[0].binding'],
      [{ peers, deadlineMs: 0 }, 'deadlineMs'],
      [{ peers, maxPending: 1.5 }, 'maxPending'],
      [{ peers, maxPendingPerAddress: '3' }, 'maxPendingPerAddress'],
      [{ peers, certificate: 'maybe' }, 'certificate'],
    ] as const) {
      const server = createTlsServer(serverOptions({}))
      expect(() => attach(server, bob, options as unknown as { peers: typeof peers })).to.throw(name)
    }
    for (const option of ['ciphers', 'pskCallback', 'minVersion', 'maxVersion', 'handshakeTimeout', 'ecdhCurve']) {
      expect(() => createServer(bob, { peers, requireGroup: 'P-384', [option]: 'x' })).to.throw(option)
    }
    expect(() => serverOptions({ requireGroup: 'X25519:P-256' })).to.throw('requireGroup')
    expect(() => serverOptions({ requireGroup: 'no-such-group' })).to.throw('requireGroup')
  })
})

/** Two streams, each of which brings what is written to the other. */
function createDuplexPair(): [Duplex, Duplex] {
  const make = (other: () => Duplex): Duplex =>
    new Duplex({
      read() {},
      write(chunk, _, done) {
        other().push(chunk)
        done()
      },
      final(done) {
        other().push(null)
        done()
      },
    })
  const near: Duplex = make(() => far)
  const far: Duplex = make(() => near)
  return [near, far]
}
