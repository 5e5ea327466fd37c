import { once } from 'node:events'
import type { ClientRequest, IncomingMessage } from 'node:http'
import { Agent, createServer, type RequestOptions, request } from 'node:https'
import type { AddressInfo } from 'node:net'
import { expect } from 'chai'
import {
  attach,
  type GateOptions,
  QkdAgent,
  type QkdAgentOptions,
  qkdInfo,
  serverOptions,
} from '../../../integrations/tls/index.ts'
import { type Kms, PoolExhaustedError } from '../../../lib/index.ts'
import { rejectsWith } from '../../helpers/rejects-with.ts'
import { createTestAuthority } from '../../helpers/test-certificates.ts'
import { until } from '../../helpers/until.ts'
import { createKmsPair } from './kms-pair.ts'
import { readAll, watchServer } from './tls-pair.ts'
import { WatchedKms } from './watched-kms.ts'

const { key, cert, ca } = createTestAuthority().issue('bob.example')

describe('QkdAgent', () => {
  it('makes three requests over one connection under one key', async () => {
    await using site = await createWebSite()
    const answers = [await site.get(), await site.get('/a'), await site.get('/b')]
    expect(answers).to.deep.equal(Array(3).fill(site.alice.keys[0]!.keyId))
    expect(site.alice.keys).to.have.length(1)
    expect(site.bob.fetches).to.equal(1)
  })

  it('takes a key for each connection where requests run at once', async () => {
    await using site = await createWebSite()
    const answers = await Promise.all(Array.from({ length: 5 }, () => site.get()))
    expect(new Set(answers).size).to.equal(5)
    expect(site.alice.keys).to.have.length(5)
  })

  it('keeps to maxSockets while connections are being made', async () => {
    await using site = await createWebSite({ agent: { maxSockets: 2 } })
    const answers = await Promise.all(Array.from({ length: 8 }, () => site.get()))
    expect(site.alice.keys).to.have.length(2)
    expect(new Set(answers).size).to.equal(2)
    expect(site.agent.sockets).to.be.empty
  })

  it('makes a connection for each request when it is told not to keep them', async () => {
    await using site = await createWebSite({ agent: { keepAlive: false } })
    expect(await site.get()).not.to.equal(await site.get())
    expect(site.alice.keys).to.have.length(2)
  })

  it('shows the session on the sockets of both ends', async () => {
    await using site = await createWebSite()
    const outgoing = site.request({ path: '/' }).end()
    const [response] = (await once(outgoing, 'response')) as [IncomingMessage]
    const info = qkdInfo(response.socket)!
    expect(info).to.include({ masterSaeId: 'alice', slaveSaeId: 'bob', level: 'quantum' })
    expect((await readAll(response)).toString()).to.equal(info.keyId)
  })

  it('reaches a server by the name localhost, whatever address it has', async () => {
    await using site = await createWebSite()
    expect(await site.get('/', { host: 'localhost', autoSelectFamily: true })).to.equal(site.alice.keys[0]!.keyId)
  })

  it('closes an idle connection when its age is over', async () => {
    await using site = await createWebSite({ agent: { maxConnectionAgeMs: 100 } })
    const first = await site.get()
    await until(() => Object.keys(site.agent.freeSockets).length === 0, 'the end of the idle connection')
    expect(await site.get()).not.to.equal(first)
  })

  it('finishes the request under way on a connection whose age is over, and makes no other on it', async () => {
    await using site = await createWebSite({ agent: { maxConnectionAgeMs: 20, maxSockets: 1 } })
    const slow = site.get('/slow')
    const after = site.get('/')
    await site.slow()
    // Timers of one length go off in the order in which they were set: the agent's has gone off by then.
    await new Promise(resolve => setTimeout(resolve, 20))
    site.answerSlow()
    expect(await slow).not.to.equal(await after)
    expect(site.alice.keys).to.have.length(2)
  })

  describe('when no session comes about', () => {
    it('fails the request with the error of the KMS', async () => {
      await using site = await createWebSite()
      site.alice.alter = () => {
        throw new PoolExhaustedError('Empty')
      }
      await rejectsWith(site.get(), 'ERR_QKD_POOL_EXHAUSTED')
      expect(site.agent.totalSocketCount).to.equal(0)
    })

    it('fails with what TCP says, and takes no key', async () => {
      await using site = await createWebSite()
      const error = await site.get('/', { port: await freePort() }).catch(error => error)
      expect(error.code).to.equal('ECONNREFUSED')
      expect(site.alice.keys).to.be.empty
    })

    it('fails where the server refuses the key', async () => {
      await using site = await createWebSite({ gate: { peers: [{ saeId: 'carol' }] } })
      await rejectsWith(site.get(), 'ERR_QKD_PSK_HANDSHAKE')
    })

    it('fails for a server that has a good certificate and no key', async () => {
      const plain = createServer({ key, cert }, (_, response) => response.end('certificate'))
      await using watched = await watchServer(plain)
      await using site = await createWebSite()
      await rejectsWith(site.get('/', { port: watched.port }), 'ERR_QKD_PSK_HANDSHAKE')
    })

    it('gives each request that waits for a connection a try of its own', async () => {
      await using site = await createWebSite({ agent: { maxSockets: 1 } })
      let left = 2
      site.alice.alter = keys => {
        if (left-- > 0) throw new PoolExhaustedError('Empty')
        return keys
      }
      const outcomes = await Promise.allSettled(Array.from({ length: 4 }, () => site.get()))
      expect(outcomes.map(({ status }) => status)).to.deep.equal(['rejected', 'rejected', 'fulfilled', 'fulfilled'])
    })

    it('tries once for each request and no more, though all of them fail', async () => {
      await using site = await createWebSite({ agent: { maxSockets: 1 } })
      let tries = 0
      site.alice.alter = () => {
        tries += 1
        throw new PoolExhaustedError('Empty')
      }
      const outcomes = await Promise.allSettled(Array.from({ length: 4 }, () => site.get()))
      expect(outcomes.every(({ status }) => status === 'rejected')).to.equal(true)
      await until(() => site.agent.totalSocketCount === 0, 'the end of the last try')
      expect(tries).to.equal(4)
      expect(site.agent.requests).to.be.empty
    })

    it('gives up what is being made when it is destroyed', async () => {
      await using site = await createWebSite()
      site.bob.beforeFetch = () => site.agent.destroy()
      const error = await site.get().catch(error => error)
      expect(error).to.be.instanceOf(Error)
      expect(site.agent.totalSocketCount).to.equal(0)
    })
  })

  describe('on a port that takes certificates as well', () => {
    const mixed = { gate: { certificate: 'allow' } as const }

    it('never uses a connection that has no key, nor lends one that has', async () => {
      await using site = await createWebSite(mixed)
      const agent = new Agent({ keepAlive: true, ca })
      const plain = () => site.get('/', { agent, servername: 'localhost' })
      expect(await plain()).to.equal('no key')
      const first = await site.get('/', { servername: 'localhost' })
      expect(first).to.equal(site.alice.keys[0]!.keyId)
      expect(await plain()).to.equal('no key')
      expect(await site.get('/', { servername: 'localhost' })).to.equal(first)
      agent.destroy()
    })

    it('keeps the connections to each peer apart, though host and port are the same', async () => {
      let peer = 'bob'
      await using site = await createWebSite({ ...mixed, agent: { peerSaeId: () => peer } })
      const first = await site.get()
      peer = 'carol'
      // The server is bob: a request meant for carol fails, and does not go over bob's connection.
      await rejectsWith(site.get(), 'ERR_QKD_PSK_HANDSHAKE')
      peer = 'bob'
      expect(await site.get()).to.equal(first)
    })

    it('puts a connection back where it came from, though the peer has another name meanwhile', async () => {
      let peer = 'bob'
      await using site = await createWebSite({ ...mixed, agent: { peerSaeId: () => peer } })
      const slow = site.get('/slow')
      await site.slow()
      peer = 'carol'
      site.answerSlow()
      await slow
      await rejectsWith(site.get(), 'ERR_QKD_PSK_HANDSHAKE')
    })

    it('sends nothing to a server for which it knows no SAE', async () => {
      await using site = await createWebSite({ ...mixed, agent: { peerSaeId: () => undefined } })
      await rejectsWith(site.get(), 'ERR_QKD_INVALID_ARGUMENT')
      expect(site.alice.keys).to.be.empty
    })

    it('refuses a request with options of TLS that have no meaning under a key', async () => {
      await using site = await createWebSite(mixed)
      for (const option of ['ca', 'cert', 'pskCallback', 'rejectUnauthorized', 'ciphers', 'minVersion']) {
        const error = await rejectsWith(site.get('/', { [option]: () => {} }), 'ERR_QKD_INVALID_ARGUMENT')
        expect(error.message).to.include(option)
      }
      expect(site.alice.keys).to.be.empty
    })
  })

  it('names apart what may not be shared', async () => {
    const { alice, carol } = await createKmsPair()
    const options: [Kms, QkdAgentOptions][] = [
      [alice, { peerSaeId: 'bob' }],
      [alice, { peerSaeId: 'carol' }],
      [alice, { peerSaeId: 'bob', binding: 'raw' }],
      [alice, { peerSaeId: 'bob', level: 'quantum' }],
      [alice, { peerSaeId: 'bob', requireGroup: 'P-384' }],
      [alice, { peerSaeId: 'bob', minVersion: 'TLSv1.2' }],
      [alice, { peerSaeId: 'bob', minVersion: 'TLSv1.2', tls12Suites: ['PSK-AES256-GCM-SHA384'] }],
      [carol, { peerSaeId: 'bob' }],
    ]
    const endpoint = { host: 'bob.example', port: 443 }
    const names = [
      new Agent().getName(endpoint),
      ...options.map(([kms, rest]) => new QkdAgent(kms, rest).getName(endpoint)),
    ]
    expect([...new Set(names)]).to.deep.equal(names)
    expect(new QkdAgent(alice, { peerSaeId: 'bob' }).getName(endpoint)).to.equal(names[1])
  })

  it('checks its options at once', async () => {
    const { alice } = await createKmsPair()
    for (const [options, name] of [
      [{}, 'peerSaeId'],
      [{ peerSaeId: 'alice' }, 'peerSaeId'],
      [{ peerSaeId: 'bob', binding: 'none' }, 'binding'],
      [{ peerSaeId: 'bob', requireGroup: 'no-such-group' }, 'requireGroup'],
      [{ peerSaeId: 'bob', minVersion: 'TLSv1.1' }, 'minVersion'],
      [{ peerSaeId: 'bob', timeoutMs: 0 }, 'timeoutMs'],
      [{ peerSaeId: 'bob', maxConnectionAgeMs: 0 }, 'maxConnectionAgeMs'],
      [{ peerSaeId: 'bob', prefetch: { keys: 0, maxAgeMs: 1000 } }, 'prefetch.keys'],
      [{ peerSaeId: 'bob', prefetch: { keys: 1 } }, 'prefetch.maxAgeMs'],
      [{ peerSaeId: 'bob', ca: 'x' }, 'ca'],
      [{ peerSaeId: 'bob', proxyEnv: {} }, 'proxyEnv'],
    ] as const) {
      expect(() => new QkdAgent(alice, options as unknown as QkdAgentOptions)).to.throw(name)
    }
  })
})

interface WebSiteOptions {
  readonly gate?: Partial<GateOptions>
  readonly agent?: Partial<QkdAgentOptions>
}

/** bob's web site on loopback, which answers with the key_ID of its connection, and an agent of alice. */
async function createWebSite(options: WebSiteOptions = {}) {
  const pair = await createKmsPair()
  const [alice, bob] = [new WatchedKms(pair.alice), new WatchedKms(pair.bob)]
  let answerSlow = () => {}
  let onSlow = () => {}
  const slow = new Promise<void>(resolve => {
    onSlow = resolve
  })
  const server = createServer({ key, cert, ...serverOptions({}) }, (incoming, response) => {
    const answer = () => response.end(qkdInfo(incoming.socket)?.keyId ?? 'no key')
    if (incoming.url !== '/slow') return answer()
    answerSlow = answer
    onSlow()
  })
  attach(server, bob, { peers: [{ saeId: 'alice' }], ...options.gate })
  const watched = await watchServer(server)
  const agent = new QkdAgent(alice, { peerSaeId: 'bob', ...options.agent })
  const send = (terms: RequestOptions): ClientRequest =>
    request({ host: '127.0.0.1', port: watched.port, agent, ...terms })
  return {
    alice,
    bob,
    agent: agent as QkdAgent & { totalSocketCount: number },
    request: send,
    /** The body of the answer. */
    get: (path = '/', terms: object = {}): Promise<string> =>
      new Promise((resolve, reject) => {
        send({ path, ...terms })
          .on('error', reject)
          .on('response', response => readAll(response).then(body => resolve(body.toString()), reject))
          .end()
      }),
    slow: () => slow,
    answerSlow: () => answerSlow(),
    [Symbol.asyncDispose]: async () => {
      agent.destroy()
      await watched[Symbol.asyncDispose]()
    },
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}
