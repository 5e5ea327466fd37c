import { randomBytes, randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { createServer as createHttpsServer, get } from 'node:https'
import { connect as connectTcp, type Socket } from 'node:net'
import { type ConnectionOptions, connect as connectTls, type PSKCallbackNegotation, type TLSSocket } from 'node:tls'
import { expect } from 'chai'
import { attach, qkdInfo, serverOptions } from '../../../integrations/tls/index.ts'
import { KmeUnreachableError, SecretKey } from '../../../lib/index.ts'
import { createFlightProxy, inTinyRecords } from './flight-proxy.ts'
import { createKmsPair } from './kms-pair.ts'
import { drawTls12Options, outcome, rolePsk, tls12Options } from './plain-client.ts'
import { split } from './raw-peer.ts'
import { createTlsPair, next, readAll, type TlsPair, watchServer } from './tls-pair.ts'

const tls12 = { minVersion: 'TLSv1.2' } as const

describe('a TLS server that takes TLS 1.2', () => {
  it('makes a session under the key that the client names in its key exchange', async () => {
    await using pair = await createTlsPair({ ...tls12, ALPNProtocols: ['x'] })
    const { options, identity } = await drawTls12Options(pair.alice)
    const client = dial(pair, { ...options, ALPNProtocols: ['x'], servername: 'bob.example' })
    await once(client, 'secureConnect')
    const server = await next(pair.sessions)
    expect(server.getProtocol()).to.equal('TLSv1.2')
    const info = qkdInfo(server)!
    expect(info).to.include({ masterSaeId: 'alice', slaveSaeId: 'bob', cipher: 'ECDHE-PSK-CHACHA20-POLY1305' })
    expect(info).to.include({ level: 'quantum', group: undefined })
    expect(`q1~alice~${info.keyId}`).to.equal(identity)
    expect([server.alpnProtocol, (server as { servername?: string }).servername]).to.deep.equal(['x', 'bob.example'])
    const [ours, theirs] = [server, client].map(end => end.exportKeyingMaterial(32, 'test', Buffer.alloc(0)))
    expect(ours!.equals(theirs!)).to.equal(true)
    client.destroy()
  })

  it('shows the addresses of its client, and heeds what is set on the socket', async () => {
    await using pair = await createTlsPair(tls12)
    const client = dial(pair, (await drawTls12Options(pair.alice)).options)
    const server = await next(pair.sessions)
    expect([server.remoteAddress, server.remotePort]).to.deep.equal(['127.0.0.1', client.localPort])
    expect([server.remoteFamily, server.localPort]).to.deep.equal(['IPv4', pair.port])
    expect(server.setNoDelay(true).setKeepAlive(true, 1000).unref().ref()).to.equal(server)
    client.destroy()
  })

  it('still speaks TLS 1.3 with whoever can, over the native socket', async () => {
    await using pair = await createTlsPair(tls12)
    for (const options of [{}, tls12]) {
      const client = await pair.connect(options)
      const server = await next(pair.sessions)
      expect([client, server].map(end => end.getProtocol())).to.deep.equal(['TLSv1.3', 'TLSv1.3'])
      expect(qkdInfo(client)!.cipher).to.equal('TLS_CHACHA20_POLY1305_SHA256')
      client.destroy()
    }
  })

  it('carries some megabytes both ways', async () => {
    await using pair = await createTlsPair(tls12)
    const client = dial(pair, (await drawTls12Options(pair.alice)).options)
    const server = await next(pair.sessions)
    server.pipe(server)
    const payload = randomBytes(4 * 1024 * 1024)
    client.end(payload)
    expect((await readAll(client)).equals(payload)).to.equal(true)
  })

  it('leaves one direction open when the other has ended', async () => {
    await using pair = await createTlsPair({ ...tls12, allowHalfOpen: true })
    const client = dial(pair, (await drawTls12Options(pair.alice)).options)
    const server = await next(pair.sessions)
    client.end('question')
    expect(String(await readAll(server))).to.equal('question')
    server.end('answer')
    expect(String(await readAll(client))).to.equal('answer')
  })

  for (const suite of ['ECDHE-PSK-AES256-CBC-SHA384', 'ECDHE-PSK-AES128-CBC-SHA256']) {
    it(`takes ${suite} by default`, async () => {
      await using pair = await createTlsPair(tls12)
      const { options } = await drawTls12Options(pair.alice)
      const client = dial(pair, { ...options, ciphers: suite })
      expect(qkdInfo(await next(pair.sessions))!.cipher).to.equal(suite)
      client.destroy()
    })
  }

  it('takes a suite without (EC)DHE only where it is named', async () => {
    const suites = ['PSK-CHACHA20-POLY1305', 'PSK-AES256-GCM-SHA384', 'PSK-AES128-GCM-SHA256'] as const
    await using strict = await createTlsPair(tls12)
    await using lax = await createTlsPair({ ...tls12, tls12Suites: suites })
    for (const ciphers of [...suites, 'PSK-AES128-CBC-SHA256']) {
      const { options } = await drawTls12Options(strict.alice)
      expect(await outcome(strict, { ...options, ciphers })).to.equal('alert 40')
      expect((await next(strict.refusals)).reason).to.equal('unsuitable')
    }
    for (const ciphers of suites) {
      const { options } = await drawTls12Options(lax.alice)
      expect(await outcome(lax, { ...options, ciphers })).to.equal('session')
      expect(qkdInfo(await next(lax.sessions))!.cipher).to.equal(ciphers)
    }
    expect(strict.bob.fetches).to.equal(0)
    const { options } = await drawTls12Options(lax.alice)
    expect(await outcome(lax, options)).to.equal('alert 40')
  })

  it('serves an HTTPS client, which it knows by its address', async () => {
    const { alice, bob } = await createKmsPair()
    const server = createHttpsServer(serverOptions(tls12), (incoming, response) => {
      response.end(`${qkdInfo(incoming.socket)!.keyId} ${incoming.socket.remoteAddress}`)
    })
    attach(server, bob, { peers: [{ saeId: 'alice' }], ...tls12 })
    await using watched = await watchServer(server)
    const { key, options } = await drawTls12Options(alice)
    const [response] = await once(get({ host: '127.0.0.1', port: watched.port, agent: false, ...options }), 'response')
    expect(String(await readAll(response))).to.equal(`${key.keyId} 127.0.0.1`)
  })

  describe('takes the key exchange', () => {
    for (const sizeBytes of [1, 3, 50]) {
      it(`in TCP segments of ${sizeBytes} bytes`, async () => {
        await using pair = await createTlsPair(tls12)
        await using proxy = await createFlightProxy(pair.port, record => split(record, sizeBytes))
        await expectEcho(pair, proxy.port)
      })
    }

    it('in TLS records of one byte', async () => {
      await using pair = await createTlsPair(tls12)
      await using proxy = await createFlightProxy(pair.port, inTinyRecords)
      await expectEcho(pair, proxy.port)
    })
  })

  describe('answers every fault of identity or key as it answers a wrong key', () => {
    const guess = () => tls12Options(`q1~alice~${randomUUID()}`, randomBytes(32))

    it('a key that is not the one the identity names', async () => {
      await using pair = await createTlsPair(tls12)
      const { identity } = await drawTls12Options(pair.alice)
      await expectRefusal(pair, tls12Options(identity, randomBytes(32)), { alert: 20, reason: 'binder' })
    })

    it('the key of TLS 1.3, which is another', async () => {
      await using pair = await createTlsPair(tls12)
      const { key, identity } = await drawTls12Options(pair.alice)
      await expectRefusal(pair, tls12Options(identity, rolePsk(key)), { alert: 20, reason: 'binder' })
    })

    it('an identity that the KMS does not know', async () => {
      await using pair = await createTlsPair(tls12)
      await expectRefusal(pair, guess(), { alert: 20, reason: 'unknown-key' })
    })

    it('a key that was used before', async () => {
      await using pair = await createTlsPair(tls12)
      const { options } = await drawTls12Options(pair.alice)
      expect(await outcome(pair, options)).to.equal('session')
      await next(pair.sessions)
      await expectRefusal(pair, options, { alert: 20, reason: 'in-use' })
    })

    it('a key that is too short', async () => {
      await using pair = await createTlsPair(tls12)
      pair.bob.alter = keys => keys.map(key => ({ ...key, secret: SecretKey.random(31) }))
      await expectRefusal(pair, (await drawTls12Options(pair.alice)).options, { alert: 20, reason: 'short-key' })
    })

    it('a guess at a key of one byte', async () => {
      await using pair = await createTlsPair({ ...tls12, peers: [{ saeId: 'alice', binding: 'raw' }] })
      pair.bob.alter = keys => keys.map(key => ({ ...key, secret: SecretKey.copyOf(Buffer.of(7)) }))
      const { identity } = await drawTls12Options(pair.alice)
      await expectRefusal(pair, tls12Options(identity, Buffer.of(7)), { alert: 20, reason: 'short-key' })
    })

    for (const identity of ['Client_identity', 'q1~alice~a b', 'q1~carol~id', 'q1~bob~id', 'q1~alice~é']) {
      it(`the identity ${identity}, without a look-up`, async () => {
        await using pair = await createTlsPair(tls12)
        await expectRefusal(pair, tls12Options(identity, randomBytes(32)), { alert: 20, reason: 'identity' })
        expect(pair.bob.fetches).to.equal(0)
      })
    }

    it('the same bytes, in number and kind, for a known key and an unknown one', async () => {
      await using pair = await createTlsPair(tls12)
      const { identity } = await drawTls12Options(pair.alice)
      const known = await recordsOf(pair, tls12Options(identity, randomBytes(32)))
      const unknown = await recordsOf(pair, guess())
      expect(unknown).to.deep.equal(known)
    })
  })

  it('answers internal_error when its KMS fails, and when that is slower than the deadline', async () => {
    await using pair = await createTlsPair({ ...tls12, deadlineMs: 300 })
    for (const fail of [
      () => Promise.reject(new KmeUnreachableError('Gone')),
      () => Promise.reject(new TypeError('Broken')),
      () => new Promise<void>(() => {}),
    ]) {
      pair.bob.beforeFetch = fail
      await expectRefusal(pair, (await drawTls12Options(pair.alice)).options, { alert: 80, reason: 'kms' })
    }
  })

  it('closes on a client that never names its key, and on one that leaves', async () => {
    await using pair = await createTlsPair({ ...tls12, deadlineMs: 300 })
    const { options } = await drawTls12Options(pair.alice)
    await using silent = await createFlightProxy(pair.port, record => (isKeyExchange(record) ? [] : [record]))
    expect(await outcome({ port: silent.port }, options)).to.include('alert')
    expect((await next(pair.refusals)).reason).to.equal('silent')
    const client = dial(pair, { ...options, pskCallback: () => leave() })
    const leave = (): PSKCallbackNegotation => {
      client.destroy()
      return { psk: randomBytes(32), identity: 'x' }
    }
    client.on('error', () => {})
    expect((await next(pair.refusals)).reason).to.equal('closed')
  })

  it('goes on serving when a client leaves while its key is looked up', async () => {
    await using pair = await createTlsPair(tls12)
    const raw = connectTcp({ port: pair.port, host: '127.0.0.1' })
    pair.bob.beforeFetch = async () => {
      raw.destroy()
      await next(pair.refusals)
    }
    const { options } = await drawTls12Options(pair.alice)
    const client = connectTls({ socket: raw, ...options }).on('error', () => {})
    await once(client, 'close')
    pair.bob.beforeFetch = () => {}
    await expectEcho(pair, pair.port)
  })

  it('holds a bounded number of clients that have not named their key', async () => {
    await using pair = await createTlsPair({ ...tls12, maxPending: 1 })
    await using proxy = await createFlightProxy(pair.port, record => (isKeyExchange(record) ? [] : [record]))
    const { options } = await drawTls12Options(pair.alice)
    const reasons: string[] = []
    const refused = new Promise<void>(resolve => {
      pair.telemetry.subscribe(event => {
        if (event.type !== 'tls-refused') return
        reasons.push(event.reason)
        resolve()
      })
    })
    const waiting = Array.from({ length: 17 }, () => dial(proxy, options).on('error', () => {}))
    await refused
    expect(reasons[0]).to.equal('overload')
    for (const client of waiting) client.destroy()
  })

  it('resumes no session, neither from a ticket nor by its ID', async () => {
    await using pair = await createTlsPair(tls12)
    const cache = new Map<string, Buffer>()
    pair.server.on('newSession', (id, data, done) => {
      cache.set(id.toString('hex'), data)
      done()
    })
    pair.server.on('resumeSession', (id, done) => done(null, cache.get(id.toString('hex')) ?? null))
    const { options } = await drawTls12Options(pair.alice)
    const first = dial(pair, options)
    await once(first, 'secureConnect')
    await next(pair.sessions)
    const session = first.getSession()!
    first.destroy()
    const again = dial(pair, { ...options, session })
    const refused = await next(pair.refusals)
    expect(refused.reason).to.be.oneOf(['in-use', 'downgrade'])
    expect(pair.sessions.size).to.equal(0)
    again.destroy()
  })

  it('negotiates nothing anew', async () => {
    await using pair = await createTlsPair(tls12)
    const client = dial(pair, (await drawTls12Options(pair.alice)).options)
    const server = await next(pair.sessions)
    server.write('x')
    await once(client, 'data')
    const failed = new Promise(resolve => server.on('error', resolve))
    client.on('error', () => {})
    client.renegotiate({}, () => {})
    expect(await failed).to.include({ code: 'ERR_TLS_RENEGOTIATION_DISABLED' })
    expect(pair.bob.fetches).to.equal(1)
  })

  it('wipes its keys', async () => {
    await using pair = await createTlsPair({ ...tls12, peers: [{ saeId: 'alice', binding: 'raw' }] })
    const { key, identity } = await drawTls12Options(pair.alice)
    const bytes = key.secret.expose('application', value => Buffer.from(value))
    expect(await outcome(pair, tls12Options(identity, bytes))).to.equal('session')
    await next(pair.sessions)
    expect(pair.bob.keys.map(({ secret }) => secret.wiped)).to.deep.equal([true])
  })
})

describe('one key in TLS 1.2', () => {
  it('makes exactly one session when two clients that have it present it at once, with one look-up', async () => {
    await using pair = await createTlsPair(tls12)
    const { options } = await drawTls12Options(pair.alice)
    const others: TLSSocket[] = []
    let named = 0
    let meet = () => {}
    const met = new Promise<void>(resolve => {
      meet = resolve
    })
    // Neither ends its handshake before both have named the key, and the server has read so.
    await using proxy = await createFlightProxy(pair.port, async record => {
      if (record[0] === 22 && record[5] === 16) named += 1
      if (named === 2) meet()
      if (record[0] === 20) others.push(await met.then(() => pair.connect()))
      return [record]
    })
    for (const client of [dial(proxy, options), dial(proxy, options)]) client.on('error', () => {}).resume()
    expect((await next(pair.refusals)).reason).to.equal('in-use')
    for (let n = 0; n < 3; n += 1) await next(pair.sessions)
    expect(pair.bob.fetches).to.equal(3)
    expect(pair.sessions.size).to.equal(0)
    for (const client of others) client.destroy()
  })

  it('is not lost to its client by attempts without it, nor by one that stops in mid-handshake', async () => {
    await using pair = await createTlsPair(tls12)
    const { identity, options } = await drawTls12Options(pair.alice)
    for (let n = 0; n < 3; n += 1) {
      await expectRefusal(pair, tls12Options(identity, randomBytes(32)), { alert: 20, reason: 'binder' })
    }
    await using half = await createFlightProxy(pair.port, record => (record[0] === 22 ? [record] : []))
    const found = new Promise<void>(resolve => {
      pair.bob.alter = keys => {
        resolve()
        return keys
      }
    })
    const stalled = dial(half, options).on('error', () => {})
    await Promise.race([found, once(stalled, 'session').catch(() => {}), new Promise(setImmediate)])
    expect(await outcome(pair, options)).to.equal('session')
    expect(pair.bob.fetches).to.equal(1)
    stalled.destroy()
  })
})

function dial({ port }: { port: number }, options: ConnectionOptions): TLSSocket {
  return connectTls({ host: '127.0.0.1', port, ...options })
}

async function expectRefusal(pair: TlsPair, options: ConnectionOptions, expected: { alert: number; reason: string }) {
  const alert = await outcome(pair, options)
  const { reason, message } = await next(pair.refusals)
  expect({ alert, reason }, message).to.deep.equal({ ...expected, alert: `alert ${expected.alert}` })
  expect(pair.sessions.size).to.equal(0)
}

async function expectEcho(pair: TlsPair, port: number): Promise<void> {
  const { options } = await drawTls12Options(pair.alice)
  const client = dial({ port }, options)
  const server = await next(pair.sessions)
  server.write('hello from Bob')
  const [data] = await once(client, 'data', { signal: AbortSignal.timeout(10_000) })
  expect(String(data)).to.equal('hello from Bob')
  client.destroy()
}

/** Type and length of every record that a server sends in a handshake that fails, and what the alert at its end says. */
async function recordsOf({ port }: TlsPair, options: ConnectionOptions): Promise<string[]> {
  const raw: Socket = connectTcp({ port, host: '127.0.0.1' })
  const chunks: Buffer[] = []
  const push = raw.push.bind(raw)
  raw.push = (chunk: Buffer | null, encoding?: BufferEncoding) => {
    if (chunk !== null) chunks.push(Buffer.from(chunk))
    return push(chunk, encoding)
  }
  await once(raw, 'connect')
  const relay = new (await import('node:stream')).Duplex({
    read: () => raw.resume(),
    write: (chunk, _, done) => raw.write(chunk, done),
  })
  raw
    .on('data', chunk => relay.push(chunk))
    .on('end', () => relay.push(null))
    .on('error', () => {})
  const client = connectTls({ socket: relay, ...options }).on('error', () => {})
  await once(raw, 'close')
  client.destroy()
  const bytes = Buffer.concat(chunks)
  const records: string[] = []
  for (let at = 0; at < bytes.byteLength; at += 5 + bytes.readUInt16BE(at + 3)) {
    const size = bytes.readUInt16BE(at + 3)
    const alert = bytes[at] === 21 ? bytes.subarray(at + 5, at + 5 + size).toString('hex') : ''
    records.push(`${bytes[at]} ${size} ${alert}`)
  }
  return records
}

function isKeyExchange(record: Buffer): boolean {
  return record[0] !== 22 || record[5] === 16
}
