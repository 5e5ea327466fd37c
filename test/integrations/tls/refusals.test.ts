import { randomBytes, randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { type AddressInfo, connect as connectTcp, createServer as createTcpServer, type Socket } from 'node:net'
import { Duplex } from 'node:stream'
import { expect } from 'chai'
import { createServer } from '../../../integrations/tls/index.ts'
import { KmeUnreachableError, PoolExhaustedError, SecretKey } from '../../../lib/index.ts'
import { buildHello, list, offerOf } from './hello-builder.ts'
import { createKmsPair } from './kms-pair.ts'
import { drawPskOptions, outcome, pskOptions } from './plain-client.ts'
import { captureHello, inRecords, sendRaw } from './raw-peer.ts'
import { createTlsPair, next, type TlsPair, watchServer } from './tls-pair.ts'

const guess = () => pskOptions(`q1~alice~${randomUUID()}`, randomBytes(32))

describe('the gate of a TLS server', () => {
  describe('answers decrypt_error to every fault of identity or key', () => {
    it('an identity that the KMS does not know', async () => {
      await using pair = await createTlsPair()
      await expectRefusal(pair, await captureHello(guess()), { alert: 51, reason: 'unknown-key' })
    })

    it('a key that is not the one the identity names', async () => {
      await using pair = await createTlsPair()
      const { identity } = await drawPskOptions(pair.alice)
      const hello = await captureHello(pskOptions(identity, randomBytes(32)))
      await expectRefusal(pair, hello, { alert: 51, reason: 'binder' })
    })

    for (const identity of [
      'Client_identity',
      'q1~alice',
      'q1~alice~',
      'q1~~id',
      'q1~alice~a~b',
      'q1~alice~a b',
      'q1~alice~a:b',
      'q1~alice~é☃',
      'q2~ALICE~id',
      `q1~alice~${'a'.repeat(120)}`,
      'q1~carol~id',
      'q1~bob~id',
    ]) {
      it(`the identity ${identity}, without a look-up`, async () => {
        await using pair = await createTlsPair()
        const hello = await captureHello(pskOptions(identity, randomBytes(32)))
        await expectRefusal(pair, hello, { alert: 51, reason: 'identity' })
        expect(pair.bob.fetches).to.equal(0)
      })
    }

    it('a NUL in the identity, which OpenSSL would cut off', async () => {
      await using pair = await createTlsPair()
      const { options, identity } = await drawPskOptions(pair.alice)
      const hello = await captureHello(options)
      hello[hello.indexOf(identity) + identity.length - 1] = 0
      await expectRefusal(pair, hello, { alert: 51, reason: 'identity' })
    })

    it('a key that was given out for another host, even one of the same site', async () => {
      await using pair = await createTlsPair()
      const { carol } = await createKmsPair()
      await using neighbour = await watchServer(createServer(carol, { peers: [{ saeId: 'alice' }] }))
      const { options } = await drawPskOptions(pair.alice)
      expect((await sendRaw(neighbour.port, await captureHello(options))).alert).to.equal(51)
      expect((await next(neighbour.refusals)).reason).to.equal('unknown-key')
      expect(await outcome(pair, options)).to.equal('session')
    })

    it('a key that is too short for TLS', async () => {
      await using pair = await createTlsPair()
      pair.bob.alter = keys => keys.map(key => ({ ...key, secret: SecretKey.random(31) }))
      const { options } = await drawPskOptions(pair.alice)
      await expectRefusal(pair, await captureHello(options), { alert: 51, reason: 'short-key' })
    })
  })

  describe('refuses without a look-up', () => {
    it('a client without a pre-shared key', async () => {
      await using pair = await createTlsPair()
      await expectRefusal(pair, await captureHello({}), { alert: 40, reason: 'no-psk' })
    })

    it('a client that knows TLS 1.2 at most', async () => {
      await using pair = await createTlsPair()
      await expectRefusal(pair, await captureHello({ maxVersion: 'TLSv1.2' }), { alert: 70, reason: 'version' })
    })

    it('a client that offers several guesses at once', async () => {
      await using pair = await createTlsPair()
      const identities = [randomUUID(), randomUUID()].map(keyId => `q1~alice~${keyId}`)
      const message = buildHello([
        [43, list(1, Buffer.of(3, 4))],
        [45, list(1, Buffer.of(1))],
        [41, offerOf(identities)],
      ])
      await expectRefusal(pair, inRecords([message]), { alert: 51, reason: 'identity' })
      expect(pair.bob.fetches).to.equal(0)
    })

    it('a client that would use its key without (EC)DHE', async () => {
      await using pair = await createTlsPair()
      const hello = await captureHello(guess())
      replace(hello, [0, 45, 0, 2, 1, 1], [0, 45, 0, 2, 1, 0])
      await expectRefusal(pair, hello, { alert: 40, reason: 'unsuitable' })
    })

    it('a client that offers only suites in which OpenSSL ignores the key', async () => {
      await using pair = await createTlsPair()
      const hello = await captureHello(guess())
      replace(hello, [0x13, 0x03, 0x13, 0x01], [0x13, 0x02, 0x13, 0x02])
      await expectRefusal(pair, hello, { alert: 40, reason: 'unsuitable' })
    })

    it('plain HTTP', async () => {
      await using pair = await createTlsPair()
      await expectRefusal(pair, Buffer.from('GET / HTTP/1.1\r\nHost: bob\r\n\r\n'), { alert: 10, reason: 'not-tls' })
    })

    it('a client that talks on and on, which still gets its alert', async () => {
      await using pair = await createTlsPair()
      const request = Buffer.from('POST / HTTP/1.1\r\nContent-Length: 4194304\r\n\r\n')
      const parts = Array<Buffer>(64).fill(Buffer.alloc(65_536))
      expect((await sendRaw(pair.port, request, ...parts)).alert).to.equal(10)
    })

    it('an alert in place of the hello, and another message', async () => {
      await using pair = await createTlsPair()
      await expectRefusal(pair, Buffer.of(21, 3, 3, 0, 2, 2, 40), { alert: 10, reason: 'not-tls' })
      await expectRefusal(pair, inRecords([Buffer.of(2, 0, 0, 1, 0)]), { alert: 10, reason: 'not-tls' })
    })

    it('a hello that is or claims to be too long', async () => {
      await using pair = await createTlsPair()
      await expectRefusal(pair, Buffer.of(22, 3, 1, 0xff, 0xff, 1), { alert: 22, reason: 'oversize' })
      await expectRefusal(pair, inRecords([Buffer.of(1, 0, 0xff, 0xff)]), { alert: 22, reason: 'oversize' })
      const endless = inRecords([Buffer.of(1, 0, 0x7f, 0x00), ...Array(6600).fill(Buffer.of(0))])
      await expectRefusal(pair, endless, { alert: 22, reason: 'oversize' })
    })

    it('noise after the first bytes of a hello', async () => {
      await using pair = await createTlsPair()
      await expectRefusal(pair, inRecords([Buffer.of(1, 0, 0, 80), randomBytes(80)]), {
        alert: 50,
        reason: 'malformed',
      })
    })
  })

  it('closes without a word on a client that says nothing, or not enough', async () => {
    await using pair = await createTlsPair({ deadlineMs: 30 })
    await expectRefusal(pair, Buffer.of(), { alert: undefined, reason: 'silent' })
    await expectRefusal(pair, Buffer.of(22, 3, 1), { alert: undefined, reason: 'silent' })
  })

  describe('answers internal_error to what is no fault of the client', () => {
    for (const error of [new PoolExhaustedError('Empty'), new KmeUnreachableError('Gone'), new TypeError('Broken')]) {
      it(`${error.name} at the KMS`, async () => {
        await using pair = await createTlsPair()
        pair.bob.beforeFetch = () => {
          throw error
        }
        await expectRefusal(pair, await captureHello(guess()), { alert: 80, reason: 'kms' })
      })
    }

    it('a KMS that is slower than the deadline', async () => {
      await using pair = await createTlsPair({ deadlineMs: 300 })
      pair.bob.beforeFetch = ({ signal }) => once(signal!, 'abort').then(() => signal!.throwIfAborted())
      await expectRefusal(pair, await captureHello(guess()), { alert: 80, reason: 'kms' })
    })

    it('a KMS that never answers, whose place becomes free again', async () => {
      await using pair = await createTlsPair({ deadlineMs: 300, maxPending: 1 })
      pair.bob.beforeFetch = () => new Promise(() => {})
      for (let n = 0; n < 2; n += 1) {
        await expectRefusal(pair, await captureHello(guess()), { alert: 80, reason: 'kms' })
        // The place is given back when the look-up's own deadline is over, a moment after the connection's.
        while (pendingLookups(pair) !== 0) await new Promise(setImmediate)
      }
    })

    it('a KMS that gives another key, or more than one', async () => {
      await using pair = await createTlsPair()
      for (const alter of [
        (keys: TlsPair['bob']['keys']) => keys.map(key => ({ ...key, keyId: randomUUID() })),
        (keys: TlsPair['bob']['keys']) => [...keys, { ...keys[0]!, secret: SecretKey.random(32) }],
      ]) {
        pair.bob.alter = alter
        const { options } = await drawPskOptions(pair.alice)
        await expectRefusal(pair, await captureHello(options), { alert: 80, reason: 'kms' })
      }
      expect(pair.bob.keys.map(({ secret }) => secret.wiped)).to.deep.equal([true, true, true])
    })
  })

  it('keeps the look-ups of a burst of guesses under its caps', async () => {
    await using pair = await createTlsPair({ maxPending: 7, maxPendingPerAddress: 5 })
    let open = () => {}
    const opened = new Promise<void>(resolve => {
      open = resolve
    })
    pair.bob.beforeFetch = () => opened
    const answers = Array.from({ length: 50 }, async () => sendRaw(pair.port, await captureHello(guess())))
    for (let n = 0; n < 45; n += 1) expect((await next(pair.refusals)).reason).to.equal('overload')
    expect(pendingLookups(pair)).to.equal(5)
    open()
    const alerts = (await Promise.all(answers)).map(({ alert }) => alert)
    expect(alerts.filter(alert => alert === 80)).to.have.length(45)
    expect(alerts.filter(alert => alert === 51)).to.have.length(5)
    expect(pair.bob.fetches).to.equal(5)
    expect(pair.bob.mostPending).to.equal(5)
    expect(pendingLookups(pair)).to.equal(0)
  })

  it('holds a bounded number of clients that have not said who they are', async () => {
    await using pair = await createTlsPair({ maxPending: 1 })
    const silent = Array.from({ length: 17 }, () => connectTcp({ port: pair.port, host: '127.0.0.1' }))
    const reasons: string[] = []
    pair.telemetry.subscribe(event => reasons.push(event.type === 'tls-refused' ? event.reason : event.type))
    await Promise.race(silent.map(socket => once(socket.resume(), 'close')))
    expect(reasons).to.deep.equal(['overload'])
    expect(silent.filter(({ readableEnded }) => readableEnded)).to.have.length(1)
    for (const socket of silent) socket.destroy()
    for (let n = 0; n < 16; n += 1) expect((await next(pair.refusals)).reason).to.equal('closed')
    ;(await pair.connect()).destroy()
  })

  it('survives two hundred hellos with flipped bits, and then serves', async () => {
    await using pair = await createTlsPair({ deadlineMs: 1000 })
    const { options } = await drawPskOptions(pair.alice)
    const hello = await captureHello(options)
    await Promise.all(
      Array.from({ length: 200 }, async (_, n) => {
        const flipped = Buffer.from(hello)
        const bit = Math.floor((n / 200) * hello.byteLength * 8)
        flipped[bit >> 3]! ^= 1 << (bit & 7)
        const { bytes } = await sendRaw(pair.port, flipped)
        expect(bytes[0]).to.be.oneOf([undefined, 21, 22])
        await next(pair.refusals)
      }),
    )
    expect(pair.sessions.size).to.equal(0)
    expect(pendingLookups(pair)).to.equal(0)
    ;(await pair.connect()).destroy()
  })

  for (const allowHalfOpen of [false, true]) {
    it(`goes on serving when a client leaves while its key is looked up (allowHalfOpen ${allowHalfOpen})`, async () => {
      await using pair = await createTlsPair({ allowHalfOpen })
      let left: Promise<unknown> = Promise.resolve()
      pair.bob.beforeFetch = async () => {
        left = next(pair.refusals)
        client.end()
        await left
      }
      const client = connectTcp({ port: pair.port, host: '127.0.0.1' })
      client.write(await captureHello((await drawPskOptions(pair.alice)).options))
      await once(client, 'close')
      expect(((await left) as { reason: string }).reason).to.equal('closed')
      pair.bob.beforeFetch = () => {}
      ;(await pair.connect()).destroy()
    })
  }
})

describe('one key', () => {
  it('makes exactly one session when two clients present it at once, with one look-up', async () => {
    await using pair = await createTlsPair()
    const { options } = await drawPskOptions(pair.alice)
    const outcomes = await Promise.all([outcome(pair, options), outcome(pair, options)])
    expect(outcomes.sort()).to.deep.equal(['alert 51', 'session'])
    expect(pair.bob.fetches).to.equal(1)
    await next(pair.sessions)
    expect(pair.sessions.size).to.equal(0)
  })

  it('is not lost to its client by attempts that do not prove it', async () => {
    await using pair = await createTlsPair()
    const { identity, options } = await drawPskOptions(pair.alice)
    for (let n = 0; n < 3; n += 1) {
      const hello = await captureHello(pskOptions(identity, randomBytes(32)))
      expect((await sendRaw(pair.port, hello)).alert).to.equal(51)
    }
    expect(await outcome(pair, options)).to.equal('session')
    expect(pair.bob.fetches).to.equal(1)
  })

  it('is not lost to its client when a socket goes in the moment in which it has come', async () => {
    await using pair = await createTlsPair()
    let raw: Duplex | undefined
    const front = createTcpServer(socket => {
      raw = asStream(socket)
      pair.server.emit('connection', raw)
    }).listen(0, '127.0.0.1')
    await once(front, 'listening')
    const { port } = front.address() as AddressInfo
    for (let turns = 0; turns < 20; turns += 1) {
      const { options } = await drawPskOptions(pair.alice)
      pair.bob.alter = keys => {
        // Each turn of the microtasks is another place on the way from the KMS to node:tls.
        let turn = Promise.resolve()
        for (let n = 0; n < turns; n += 1) turn = turn.then(() => {})
        void turn.then(() => raw!.destroy())
        return keys
      }
      expect(await outcome({ port }, options), `${turns} turns`).to.not.equal('session')
      pair.bob.alter = keys => keys
      expect(await outcome(pair, options), `after ${turns} turns`).to.equal('session')
    }
    front.close()
  })

  it('is one key in whatever case its UUID is written', async () => {
    await using pair = await createTlsPair()
    const { identity } = await drawPskOptions(pair.alice)
    const upper = identity.replace(/[0-9a-f-]{36}$/, id => id.toUpperCase())
    for (const spelling of [identity, upper]) {
      expect((await sendRaw(pair.port, await captureHello(pskOptions(spelling, randomBytes(32))))).alert).to.equal(51)
    }
    expect(pair.bob.fetches).to.equal(1)
  })

  it('is refused to a replayed hello while in use and when spent, and the replay makes no session', async () => {
    await using pair = await createTlsPair()
    const { options } = await drawPskOptions(pair.alice)
    const hello = await captureHello(options)
    const replay = connectTcp({ port: pair.port, host: '127.0.0.1' })
    replay.write(hello)
    // The binder is good, so the server begins a handshake; without the key nobody can finish it.
    const [answer] = await once(replay, 'data', { signal: AbortSignal.timeout(10_000) })
    expect(answer[0]).to.equal(22)
    await expectRefusal(pair, hello, { alert: 51, reason: 'in-use' })
    replay.destroy()
    await next(pair.refusals)
    expect(await outcome(pair, options)).to.equal('session')
    await next(pair.sessions)
    await expectRefusal(pair, hello, { alert: 51, reason: 'in-use' })
    expect(pair.bob.fetches).to.equal(1)
  })
})

async function expectRefusal(pair: TlsPair, bytes: Buffer, expected: { alert: number | undefined; reason: string }) {
  const { alert } = await sendRaw(pair.port, bytes)
  const { reason, message } = await next(pair.refusals)
  expect({ alert, reason }, message).to.deep.equal(expected)
  expect(pair.sessions.size).to.equal(0)
}

function pendingLookups({ telemetry }: TlsPair): number {
  return telemetry.readings().find(({ name }) => name === 'tls_pending_lookups')?.value ?? 0
}

function replace(bytes: Buffer, from: readonly number[], to: readonly number[]): void {
  const at = bytes.indexOf(Buffer.from(from))
  expect(at).to.be.at.least(0)
  bytes.set(to, at)
}

/** The same connection as a stream of JavaScript, which closes as soon as it is destroyed. */
function asStream(socket: Socket): Duplex {
  const stream = new Duplex({
    read: () => void socket.resume(),
    write: (chunk, _encoding, callback) => void socket.write(chunk, callback),
    final: callback => void socket.end(callback),
    destroy: (error, callback) => {
      socket.destroy()
      callback(error)
    },
  })
  socket.on('data', chunk => stream.push(chunk)).on('end', () => stream.push(null))
  socket.on('error', () => {}).on('close', () => stream.destroy())
  return stream
}
