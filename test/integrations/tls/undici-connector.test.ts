import { createSecureServer } from 'node:http2'
import { createServer } from 'node:https'
import { expect } from 'chai'
import { Agent, type Dispatcher, fetch, request } from 'undici'
import {
  attach,
  createUndiciConnector,
  qkdInfo,
  serverOptions,
  type UndiciConnectorOptions,
} from '../../../integrations/tls/index.ts'
import { PoolExhaustedError } from '../../../lib/index.ts'
import { createTestAuthority } from '../../helpers/test-certificates.ts'
import { createKmsPair } from './kms-pair.ts'
import { watchServer } from './tls-pair.ts'
import { WatchedKms } from './watched-kms.ts'

describe('createUndiciConnector', () => {
  it('lets fetch go over one connection under one key', async () => {
    await using site = await createWebSite({}, { connections: 1 })
    const answers = [await site.fetch(), await site.fetch(), await site.fetch()]
    expect(answers).to.deep.equal(Array(3).fill(`1.1 ${site.alice.keys[0]!.keyId}`))
    expect(site.alice.keys).to.have.length(1)
  })

  it('works as HTTP/2 where both sides are told so', async () => {
    await using site = await createWebSite({ allowH2: true }, { connections: 1 })
    const answers = await Promise.all([site.fetch(), site.fetch()])
    expect(answers).to.deep.equal(Array(2).fill(`2.0 ${site.alice.keys[0]!.keyId}`))
    await using old = await createWebSite({ allowH2: false })
    expect(await old.fetch()).to.match(/^1\.1 /)
  })

  it('takes a key for each connection, with undici.request as with fetch', async () => {
    await using site = await createWebSite()
    const ask = async () => await (await request(site.url, { dispatcher: site.dispatcher })).body.text()
    expect(new Set(await Promise.all([ask(), ask(), ask()])).size).to.equal(3)
    expect(site.alice.keys).to.have.length(3)
  })

  it('serves the fetch that Node has built in', async () => {
    await using site = await createWebSite()
    const init = { dispatcher: site.dispatcher } as unknown as RequestInit
    expect(await (await globalThis.fetch(site.url, init)).text()).to.equal(`1.1 ${site.alice.keys[0]!.keyId}`)
  })

  it('reaches a server by the name localhost', async () => {
    await using site = await createWebSite()
    expect(await site.fetch(site.url.replace('127.0.0.1', 'localhost'))).to.match(/^1\.1 /)
  })

  it('fails the request with the cause, and tries nothing else', async () => {
    await using site = await createWebSite()
    site.alice.alter = () => {
      throw new PoolExhaustedError('Empty')
    }
    const error = await site.fetch().catch(error => error)
    expect(error.cause.code).to.equal('ERR_QKD_POOL_EXHAUSTED')
    const { key, cert } = createTestAuthority().issue('bob.example')
    await using watched = await watchServer(createServer({ key, cert }, (_, response) => response.end()))
    site.alice.alter = keys => keys
    const refused = await site.fetch(`https://127.0.0.1:${watched.port}`).catch(error => error)
    expect(refused.cause.code).to.equal('ERR_QKD_PSK_HANDSHAKE')
  })

  it('opens nothing that is not https, nor to a server for which it knows no SAE', async () => {
    const { hostname } = new URL('https://127.0.0.1')
    await using site = await createWebSite({
      peerSaeId: endpoint => (endpoint.hostname === hostname ? 'bob' : undefined),
    })
    expect(await site.fetch()).to.match(/^1\.1 /)
    for (const url of [site.url.replace('https', 'http'), site.url.replace('127.0.0.1', 'localhost')]) {
      const error = await site.fetch(url).catch(error => error)
      expect(error.cause.code).to.equal('ERR_QKD_INVALID_ARGUMENT')
    }
    expect(site.alice.keys).to.have.length(1)
  })

  it('checks its options at once', async () => {
    const { alice } = await createKmsPair()
    expect(() => createUndiciConnector(alice, { peerSaeId: 'alice' })).to.throw('peerSaeId')
    expect(() => createUndiciConnector(alice, { peerSaeId: 'bob', timeoutMs: -1 })).to.throw('timeoutMs')
  })
})

/** bob's web site, which answers with the version of HTTP and the key_ID, and a dispatcher of alice. */
async function createWebSite(options: Partial<UndiciConnectorOptions> = {}, pool: Agent.Options = {}) {
  const pair = await createKmsPair()
  const alice = new WatchedKms(pair.alice)
  const server = createSecureServer({ allowHTTP1: true, ...serverOptions({}) }, (incoming, response) => {
    const socket = incoming.stream?.session?.socket ?? incoming.socket
    response.end(`${incoming.httpVersion} ${qkdInfo(socket)?.keyId}`)
  })
  attach(server, pair.bob, { peers: [{ saeId: 'alice' }] })
  const watched = await watchServer(server)
  const connect = createUndiciConnector(alice, { peerSaeId: 'bob', ...options })
  const dispatcher: Dispatcher = new Agent({ connect, allowH2: options.allowH2 ?? false, ...pool })
  const url = `https://127.0.0.1:${watched.port}`
  return {
    alice,
    dispatcher,
    url,
    fetch: async (at = url) => await (await fetch(at, { dispatcher })).text(),
    [Symbol.asyncDispose]: async () => {
      await dispatcher.destroy()
      await watched[Symbol.asyncDispose]()
    },
  }
}
