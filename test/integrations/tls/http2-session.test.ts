import { once } from 'node:events'
import { createSecureServer } from 'node:http2'
import { get } from 'node:https'
import type { TLSSocket } from 'node:tls'
import { expect } from 'chai'
import {
  attach,
  type ConnectHttp2Options,
  connectHttp2,
  QkdAgent,
  qkdInfo,
  serverOptions,
} from '../../../integrations/tls/index.ts'
import { rejectsWith } from '../../helpers/rejects-with.ts'
import { createKmsPair } from './kms-pair.ts'
import { createTlsPair, readAll, watchServer } from './tls-pair.ts'
import { WatchedKms } from './watched-kms.ts'

describe('connectHttp2', () => {
  it('makes many requests in one session under one key, which both ends can name', async () => {
    await using site = await createWebSite()
    const session = await site.connect()
    const { keyId } = qkdInfo(session.socket)!
    const answers = await Promise.all(['/', '/a', '/b'].map(path => readAll(session.request({ ':path': path }))))
    expect(answers.map(String)).to.deep.equal(Array(3).fill(`${keyId} ${keyId}`))
    expect(site.alice.keys).to.have.length(1)
    session.close()
  })

  it('reaches a server by name and sends the name along', async () => {
    await using site = await createWebSite()
    const session = await connectHttp2(site.alice, site.url.replace('127.0.0.1', 'localhost'), { peerSaeId: 'bob' })
    expect((session.socket as TLSSocket & { servername: string }).servername).to.equal('localhost')
    session.destroy()
  })

  it('ends the session when its age is over, after the requests under way', async () => {
    await using site = await createWebSite()
    const session = await site.connect({ maxConnectionAgeMs: 50 })
    const stream = session.request({ ':path': '/slow' })
    const answer = readAll(stream)
    const closed = once(session, 'close')
    await site.slow
    // Timers of one length go off in the order in which they were set: the session's has gone off by then.
    await new Promise(resolve => setTimeout(resolve, 50))
    expect(session.closed).to.equal(true)
    site.answerSlow()
    expect((await answer).toString()).to.match(/^[0-9a-f-]{36} /)
    await closed
  })

  it('refuses a server that speaks no HTTP/2', async () => {
    for (const options of [{}, { ALPNProtocols: ['http/1.1'] }]) {
      await using pair = await createTlsPair(options)
      const session = connectHttp2(pair.alice, `https://127.0.0.1:${pair.port}`, { peerSaeId: 'bob' })
      await rejectsWith(session, 'ERR_QKD_PSK_HANDSHAKE')
    }
  })

  it('refuses what cannot be right, and consumes nothing', async () => {
    await using site = await createWebSite()
    for (const [options, name] of [
      [{ peerSaeId: 'alice' }, 'peerSaeId'],
      [{ maxConnectionAgeMs: 0 }, 'maxConnectionAgeMs'],
      [{ rejectUnauthorized: false }, 'rejectUnauthorized'],
    ] as const) {
      const error = await rejectsWith(site.connect(options as ConnectHttp2Options), 'ERR_QKD_INVALID_ARGUMENT')
      expect(error.message).to.include(name)
    }
    await rejectsWith(connectHttp2(site.alice, 'http://127.0.0.1', { peerSaeId: 'bob' }), 'ERR_QKD_INVALID_ARGUMENT')
    expect(site.alice.keys).to.be.empty
  })
})

describe('an HTTP/2 server under keys that allows HTTP/1.1', () => {
  it('serves an agent, and names its key on the request', async () => {
    await using site = await createWebSite()
    const agent = new QkdAgent(site.alice, { peerSaeId: 'bob' })
    const [response] = await once(get(site.url, { agent }), 'response')
    const { keyId } = qkdInfo(response.socket)!
    expect((await readAll(response)).toString()).to.equal(`${keyId} ${keyId}`)
    agent.destroy()
  })

  it('hands over an upgraded connection, which leaves the agent and keeps its key', async () => {
    await using site = await createWebSite()
    const agent = new QkdAgent(site.alice, { peerSaeId: 'bob', maxSockets: 1 })
    const headers = { connection: 'upgrade', upgrade: 'echo' }
    const [response, socket] = await once(get(site.url, { agent, headers }), 'upgrade')
    expect(response.statusCode).to.equal(101)
    socket.end('there and back')
    expect((await readAll(socket)).toString()).to.equal(`${qkdInfo(socket)!.keyId} there and back`)
    // The one place of the agent is free again.
    const [next] = await once(get(site.url, { agent }), 'response')
    await readAll(next)
    expect(site.alice.keys).to.have.length(2)
    agent.destroy()
  })
})

/** bob's web site, which answers with the key_ID that it finds on the request and on the session. */
async function createWebSite() {
  const pair = await createKmsPair()
  const alice = new WatchedKms(pair.alice)
  let answerSlow = () => {}
  let onSlow = () => {}
  const slow = new Promise<void>(resolve => {
    onSlow = resolve
  })
  const server = createSecureServer({ allowHTTP1: true, ...serverOptions({}) }, (incoming, response) => {
    const session = incoming.stream?.session?.socket ?? incoming.socket
    const answer = () => response.end(`${qkdInfo(incoming.socket)?.keyId} ${qkdInfo(session)?.keyId}`)
    if (incoming.url !== '/slow') return answer()
    answerSlow = answer
    onSlow()
  })
  server.on('upgrade', (_, socket) => {
    socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n')
    socket.write(`${qkdInfo(socket)?.keyId} `)
    socket.pipe(socket)
  })
  attach(server, pair.bob, { peers: [{ saeId: 'alice' }] })
  const watched = await watchServer(server)
  const url = `https://127.0.0.1:${watched.port}`
  return {
    alice,
    url,
    slow,
    connect: (options: Partial<ConnectHttp2Options> = {}) => connectHttp2(alice, url, { peerSaeId: 'bob', ...options }),
    answerSlow: () => answerSlow(),
    [Symbol.asyncDispose]: watched[Symbol.asyncDispose],
  }
}
