import { once } from 'node:events'
import { expect } from 'chai'
import { connect, createServer, qkdInfo } from '../../../integrations/tls/index.ts'
import { createRemoteKms, type Kms, tlsGroups } from '../../../lib/index.ts'
import { createServedTestSites } from '../../helpers/test-sites.ts'
import { createFlightProxy, inTinyRecords } from './flight-proxy.ts'
import { createHelloProxy, inRecordsOf, split } from './raw-peer.ts'
import { createTlsPair, next, readAll, watchServer } from './tls-pair.ts'

describe('createServer and connect', () => {
  it('make a session under one key, which both ends can name', async () => {
    await using pair = await createTlsPair()
    const client = await pair.connect()
    const server = await next(pair.sessions)
    const info = qkdInfo(client)!
    expect(info).to.include({ masterSaeId: 'alice', slaveSaeId: 'bob', level: 'quantum' })
    expect(info.keyId).to.equal(pair.alice.keys[0]!.keyId)
    expect(info.cipher).to.equal('TLS_CHACHA20_POLY1305_SHA256')
    expect(qkdInfo(server)).to.deep.equal({ ...info, group: undefined })
    expect(client.qkd).to.equal(info)
    const [atBob, atAlice] = [server, client].map(end => end.exportKeyingMaterial(32, 'test', Buffer.alloc(0)))
    expect(atBob!.equals(atAlice!)).to.equal(true)
    client.destroy()
  })

  it('work with the KMS of another process as with an embedded one', async () => {
    await using sites = await createServedTestSites()
    const [alice, bob] = sites.sites.map((site, i) => {
      const saeId = ['alice', 'bob'][i]!
      const expectedKmeId = ['kme-a', 'kme-b'][i]!
      const tls = sites.credentials(saeId)
      return createRemoteKms({ saeId, expectedKmeId, baseUrl: site.address.etsi014.url, ...tls })
    }) as [Kms, Kms]
    const server = createServer(bob, { peers: [{ saeId: 'alice' }] })
    await using watched = await watchServer(server)
    const client = await connect(alice, { peerSaeId: 'bob', host: '127.0.0.1', port: watched.port })
    expect(qkdInfo(await next(watched.sessions))).to.include({ keyId: qkdInfo(client)!.keyId, level: 'quantum' })
    client.destroy()
    await Promise.all([alice.close(), bob.close()])
  })

  it('carry some megabytes both ways', async () => {
    await using pair = await createTlsPair()
    const client = await pair.connect()
    const server = await next(pair.sessions)
    const payload = Buffer.alloc(4 * 1024 * 1024, 'payload')
    server.pipe(server)
    client.end(payload)
    expect((await readAll(client)).equals(payload)).to.equal(true)
  })

  it('leave one direction open when the other has ended', async () => {
    await using pair = await createTlsPair({ allowHalfOpen: true })
    const client = await pair.connect({ allowHalfOpen: true })
    const server = await next(pair.sessions)
    client.end('question')
    expect((await readAll(server)).toString()).to.equal('question')
    server.end('answer')
    expect((await readAll(client)).toString()).to.equal('answer')
  })

  it('negotiate ALPN and pass the server name on', async () => {
    await using pair = await createTlsPair({ ALPNProtocols: ['x', 'y'] })
    const client = await pair.connect({ ALPNProtocols: ['y'], servername: 'bob.example' })
    const server = await next(pair.sessions)
    expect(client.alpnProtocol).to.equal('y')
    expect(server.alpnProtocol).to.equal('y')
    expect((server as { servername?: string }).servername).to.equal('bob.example')
    expect(server.remoteAddress).to.equal('127.0.0.1')
    client.destroy()
  })

  for (const sizeBytes of [1, 3, 7, 50]) {
    it(`take a ClientHello in TCP segments of ${sizeBytes} bytes`, async () => {
      await using pair = await createTlsPair()
      await using proxy = await createHelloProxy(pair.port, hello => split(hello, sizeBytes))
      await expectEcho(pair, proxy.port)
    })
  }

  for (const sizeBytes of [1, 5, 64]) {
    it(`take a ClientHello in TLS records of ${sizeBytes} bytes`, async () => {
      await using pair = await createTlsPair()
      await using proxy = await createHelloProxy(pair.port, hello => [inRecordsOf(sizeBytes, hello)])
      await expectEcho(pair, proxy.port)
    })
  }

  it('take a ClientHello that is longer than one TCP segment', async () => {
    await using pair = await createTlsPair()
    await using proxy = await createHelloProxy(pair.port, hello => split(hello, 1460))
    const ALPNProtocols = Array.from({ length: 200 }, (_, n) => `protocol-${n}`)
    const client = await pair.connect({ port: proxy.port, ALPNProtocols })
    expect(proxy.hellos[0]!.byteLength).to.be.above(1460)
    expect(qkdInfo(await next(pair.sessions))!.keyId).to.equal(qkdInfo(client)!.keyId)
    client.destroy()
  })

  it('take one of 1.5 kB, as Node 24 sends it, in segments and in records of one byte', async () => {
    // What a key share of ML-KEM adds on a Node that has it, protocols do elsewhere.
    const ALPNProtocols = tlsGroups().includes('MLKEM')
      ? undefined
      : Array.from({ length: 100 }, (_, n) => `protocol-${n}`)
    for (const reshape of [
      (hello: Buffer) => split(hello, 1),
      (hello: Buffer) => [inRecordsOf(1, hello)],
      (hello: Buffer) => split(inRecordsOf(1, hello), 1),
    ]) {
      await using pair = await createTlsPair()
      await using proxy = await createHelloProxy(pair.port, reshape)
      const client = await pair.connect({ port: proxy.port, ALPNProtocols })
      expect(proxy.hellos[0]!.byteLength).to.be.within(1400, 2000)
      expect(qkdInfo(await next(pair.sessions))!.keyId).to.equal(qkdInfo(client)!.keyId)
      client.destroy()
    }
  })

  it('mix (EC)DHE in, with ML-KEM where OpenSSL has it', async () => {
    await using pair = await createTlsPair()
    const best = tlsGroups().includes('MLKEM') ? 'X25519MLKEM768' : 'X25519'
    for (const requireGroup of [undefined, best]) {
      const client = await pair.connect({ requireGroup })
      expect(qkdInfo(client)!.group).to.equal(best)
      client.destroy()
    }
  })

  for (const [what, reshape] of [
    ['in segments of one byte', (record: Buffer) => split(record, 1)],
    ['in records of one byte', inTinyRecords],
  ] as const) {
    it(`survive a HelloRetryRequest with both hellos ${what}`, async () => {
      await using pair = await createTlsPair({ ecdhCurve: 'P-384' })
      await using proxy = await createFlightProxy(pair.port, reshape)
      const client = await expectEcho(pair, proxy.port)
      expect(qkdInfo(client)!.group).to.equal('secp384r1')
      expect(pair.bob.fetches).to.equal(1)
    })
  }

  it('survive a HelloRetryRequest with one look-up', async () => {
    await using pair = await createTlsPair({ ecdhCurve: 'P-384' })
    const client = await expectEcho(pair, pair.port)
    expect(qkdInfo(client)!.group).to.equal('secp384r1')
    expect(pair.bob.fetches).to.equal(1)
  })
})

async function expectEcho(pair: Awaited<ReturnType<typeof createTlsPair>>, port: number) {
  const client = await pair.connect({ port })
  const server = await next(pair.sessions)
  server.write('hello from Bob')
  const [data] = await once(client, 'data', { signal: AbortSignal.timeout(10_000) })
  expect(String(data)).to.equal('hello from Bob')
  client.destroy()
  return client
}
