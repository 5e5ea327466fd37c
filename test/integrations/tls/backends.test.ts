import { once } from 'node:events'
import { createServer as createHttpsServer, request } from 'node:https'
import type { TLSSocket } from 'node:tls'
import { expect } from 'chai'
import { attach, connect, createServer, QkdAgent, qkdInfo, serverOptions } from '../../../integrations/tls/index.ts'
import { type KmsPair, kmsBackends } from '../../helpers/kms-backends.ts'
import { pskOptions } from './plain-client.ts'
import { captureHello, sendRaw } from './raw-peer.ts'
import { next, readAll, watchServer } from './tls-pair.ts'
import { createTunnelPair } from './tunnel/tunnel-pair.ts'

/** The same for every KMS: nothing below asks which it is. */
for (const backend of kmsBackends) {
  describe(`TLS with a KMS that is ${backend.name}`, () => {
    let kms: KmsPair
    before(async () => {
      kms = await backend.create()
    })
    after(async () => {
      await kms?.[Symbol.asyncDispose]()
    })

    const listen = async (options = {}) =>
      watchServer(createServer(kms.bob, { peers: [{ saeId: 'alice' }], ...options }, socket => socket.pipe(socket)))
    const dial = (port: number, options = {}) =>
      connect(kms.alice, { peerSaeId: 'bob', host: '127.0.0.1', port, ...options })

    for (const minVersion of ['TLSv1.3', 'TLSv1.2'] as const) {
      it(`makes a session under one key, which both ends can name (${minVersion})`, async () => {
        await using server = await listen({ minVersion })
        const client = await dial(server.port, { minVersion })
        const here = qkdInfo(client)!
        const there = qkdInfo(await next(server.sessions))!
        expect({ ...here, group: undefined }).to.deep.equal({ ...there, group: undefined })
        expect(here).to.include({ masterSaeId: 'alice', slaveSaeId: 'bob' })
        client.end('Hello')
        expect((await readAll(client)).toString()).to.equal('Hello')
      })
    }

    it('makes many sessions at once, each under a key of its own', async () => {
      await using server = await listen()
      const clients = await Promise.all(Array.from({ length: 20 }, () => dial(server.port)))
      expect(new Set(clients.map(client => qkdInfo(client)!.keyId)).size).to.equal(20)
      await Promise.all(clients.map(hello))
    })

    it('answers an unknown identity as it answers a wrong key', async () => {
      await using server = await listen()
      const [key] = await kms.alice.getKey('bob', { sizeBits: 256 })
      const { keyId } = key!
      const unknown = keyId.replace(/^.{8}/, '00000000')
      for (const [id, reason] of [
        [unknown, 'unknown-key'],
        [keyId, 'binder'],
      ] as const) {
        const { alert } = await sendRaw(
          server.port,
          await captureHello(pskOptions(`q1~alice~${id}`, Buffer.alloc(32, 1))),
        )
        expect({ alert, reason: (await next(server.refusals)).reason }).to.deep.equal({ alert: 51, reason })
      }
      key!.secret.wipe()
    })

    it('serves requests of HTTPS over a connection that is kept', async () => {
      const https = createHttpsServer(serverOptions({}), (incoming, response) => {
        response.end(qkdInfo(incoming.socket)!.keyId)
      })
      attach(https, kms.bob, { peers: [{ saeId: 'alice' }] })
      await using server = await watchServer(https)
      const agent = new QkdAgent(kms.alice, { peerSaeId: 'bob', keepAlive: true })
      const keyIds: string[] = []
      for (let i = 0; i < 3; i += 1) {
        const [response] = await once(request({ host: '127.0.0.1', port: server.port, agent }).end(), 'response')
        keyIds.push((await readAll(response)).toString())
      }
      expect(keyIds[0]).to.match(/^[0-9a-f-]{36}$/)
      expect(new Set(keyIds).size).to.equal(1)
      agent.destroy()
    })

    it('carries connections through a tunnel', async () => {
      await using tunnel = await createTunnelPair(kms)
      const [program, target] = await tunnel.open()
      target.pipe(target)
      program.end('through the tunnel')
      expect((await readAll(program)).toString()).to.equal('through the tunnel')
    })
  })
}

async function hello(client: TLSSocket): Promise<void> {
  client.end('Hello')
  expect((await readAll(client)).toString()).to.equal('Hello')
}
