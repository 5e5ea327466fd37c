import { once } from 'node:events'
import type { RequestListener, ServerResponse } from 'node:http'
import { createServer, request } from 'node:https'
import { createRequire } from 'node:module'
import type { Socket } from 'node:net'
import type { Server } from 'node:tls'
import { expect } from 'chai'
import fastify from 'fastify'
import { attach, connectHttp2, QkdAgent, qkdInfo, serverOptions } from '../../../integrations/tls/index.ts'
import { createKmsPair } from './kms-pair.ts'
import { readAll, watchServer } from './tls-pair.ts'
import { WatchedKms } from './watched-kms.ts'

/** Of Express, which brings no types, what this test uses. */
interface ExpressApp extends RequestListener {
  use(middleware: unknown): void
  post(path: string, handler: (request: { body: object; socket: Socket }, response: ServerResponse) => void): void
}
const express: { (): ExpressApp; json(): unknown } = createRequire(import.meta.url)('express')

describe('an application of Express', () => {
  it('runs unchanged on a server under keys', async () => {
    const app = express()
    app.use(express.json())
    app.post('/echo', ({ body, socket }, response) => {
      response.setHeader('content-type', 'application/json')
      response.end(JSON.stringify({ ...body, peer: qkdInfo(socket)?.masterSaeId }))
    })
    await serves(createServer(serverOptions({}), app))
  })
})

describe('an application of Fastify', () => {
  it('runs unchanged on a server under keys', async () => {
    const app = fastify({ https: serverOptions({}) })
    app.post('/echo', ({ body, socket }) => ({ ...(body as object), peer: qkdInfo(socket)?.masterSaeId }))
    await app.ready()
    await serves(app.server)
  })

  it('runs unchanged on HTTP/2, with its own listen', async () => {
    const { alice, bob } = await createKmsPair()
    const app = fastify({ http2: true, https: { allowHTTP1: true, ...serverOptions({}) } })
    attach(app.server, bob, { peers: [{ saeId: 'alice' }] })
    app.get('/peer', incoming => ({ peer: qkdInfo(incoming.raw.socket)?.masterSaeId }))
    const session = await connectHttp2(alice, await app.listen({ port: 0, host: '127.0.0.1' }), { peerSaeId: 'bob' })
    const answer = await readAll(session.request({ ':path': '/peer' }))
    expect(JSON.parse(answer.toString())).to.deep.equal({ peer: 'alice' })
    session.close()
    await app.close()
  })
})

/** Puts the server under keys of bob and posts to it twice, as alice over one connection. */
async function serves(server: Server): Promise<void> {
  const pair = await createKmsPair()
  const alice = new WatchedKms(pair.alice)
  attach(server, pair.bob, { peers: [{ saeId: 'alice' }] })
  await using watched = await watchServer(server)
  const agent = new QkdAgent(alice, { peerSaeId: 'bob' })
  for (const question of ['one', 'two']) {
    const headers = { 'content-type': 'application/json' }
    const terms = { host: '127.0.0.1', port: watched.port, path: '/echo', method: 'POST', agent, headers }
    const [response] = await once(request(terms).end(JSON.stringify({ question })), 'response')
    expect(JSON.parse((await readAll(response)).toString())).to.deep.equal({ question, peer: 'alice' })
  }
  expect(alice.keys).to.have.length(1)
  agent.destroy()
}
