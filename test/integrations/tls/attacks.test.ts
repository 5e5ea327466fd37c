import { randomBytes, randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { connect as connectTcp, type Socket } from 'node:net'
import { setImmediate as turn } from 'node:timers/promises'
import { type ConnectionOptions, connect as connectTls } from 'node:tls'
import { expect } from 'chai'
import { SecretKey } from '../../../lib/index.ts'
import { rejectsWith } from '../../helpers/rejects-with.ts'
import { drawPskOptions, drawTls12Options, outcome, pskOptions, tls12Options } from './plain-client.ts'
import { captureHello, sendRaw } from './raw-peer.ts'
import { createTlsPair, next, type TlsPair } from './tls-pair.ts'

/** Guesses in the second of the attack below. */
const GUESSES = 1000

describe('an attacker who guesses identities, 1,000 in a second', () => {
  for (const lookUpMs of [0, 20]) {
    it(`makes few look-ups at a KMS that takes ${lookUpMs} ms, and leaves room for others`, async () => {
      await expectFewLookUps(lookUpMs)
    })
  }
})

/** Guesses for a second, from one address, with an honest client at another. */
async function expectFewLookUps(lookUpMs: number): Promise<void> {
  const caps = { maxPending: 12, maxPendingPerAddress: 8 }
  await using pair = await createTlsPair(caps)
  pair.bob.beforeFetch = () => (lookUpMs === 0 ? undefined : new Promise(resolve => setTimeout(resolve, lookUpMs)))
  const { identity, options } = await drawPskOptions(pair.alice)
  const guess = await captureHello(pskOptions(identity, randomBytes(32)))
  const at = guess.indexOf(identity) + 'q1~alice~'.length
  const begun = performance.now()
  const answers: Promise<number | undefined>[] = []
  while (answers.length < GUESSES) {
    // As many as are due by now.
    const due = Math.min(GUESSES, Math.floor(performance.now() - begun))
    while (answers.length < due) {
      const hello = Buffer.from(guess)
      hello.write(randomUUID(), at, 'latin1')
      answers.push(sendRaw(pair.port, hello).then(({ alert }) => alert))
      if (answers.length === GUESSES / 2) void sessionFrom('127.0.0.2', pair, options)
    }
    await turn()
  }
  const alerts = await Promise.all(answers)
  await next(pair.sessions)
  const lookedUp = alerts.filter(alert => alert === 51).length
  expect(lookedUp + alerts.filter(alert => alert === 80).length).to.equal(GUESSES)
  expect(pair.bob.mostPending).to.be.below(10)
  expect(pair.bob.fetches).to.equal(lookedUp + 1)
  // Eight in every second that the attack took.
  expect(lookedUp).to.be.within(8, 8 * Math.ceil((performance.now() - begun) / 1000))
}

describe('an attacker who tries all keys of one byte', () => {
  for (const [version, draw, options] of [
    ['TLSv1.3', drawPskOptions, pskOptions],
    ['TLSv1.2', drawTls12Options, tls12Options],
  ] as const) {
    it(`finds none at a server, in ${version}: it takes no such key from its KMS`, async () => {
      const peers = [{ saeId: 'alice', binding: 'raw' as const }]
      await using pair = await createTlsPair({ peers, minVersion: 'TLSv1.2' })
      pair.bob.alter = keys => keys.map(key => ({ ...key, secret: SecretKey.copyOf(Buffer.of(7)) }))
      const { identity } = await draw(pair.alice)
      expect(await outcome(pair, options(identity, Buffer.of(7)))).to.match(/^alert (51|20)$/)
      expect((await next(pair.refusals)).reason).to.equal('short-key')
    })
  }

  it('finds none in a ClientHello of ours: it is never sent', async () => {
    await using pair = await createTlsPair()
    pair.alice.alter = keys => keys.map(key => ({ ...key, secret: SecretKey.copyOf(Buffer.of(7)) }))
    for (const binding of ['role', 'raw'] as const) {
      const error = await rejectsWith(pair.connect({ binding }), 'ERR_QKD_PSK_HANDSHAKE')
      expect(error.message).to.include('1 bytes')
    }
    expect(pair.bob.fetches).to.equal(0)
  })
})

describe('an attacker who sends a hello byte by byte, without end', () => {
  it('has no more time than one who is silent, and keeps nobody else out', async () => {
    await using pair = await createTlsPair({ deadlineMs: 400 })
    const { options } = await drawPskOptions(pair.alice)
    const hello = await captureHello(options)
    const slow = Array.from({ length: 50 }, () => drip(pair.port, hello))
    const began = performance.now()
    expect(await outcome(pair, options)).to.equal('session')
    await Promise.all(slow)
    expect(performance.now() - began).to.be.below(10_000)
    for (let n = 0; n < slow.length; n += 1) expect((await next(pair.refusals)).reason).to.equal('silent')
    expect(pair.bob.fetches).to.equal(1)
  })

  it('has no more time for its key exchange in TLS 1.2', async () => {
    await using pair = await createTlsPair({ deadlineMs: 400, minVersion: 'TLSv1.2' })
    const { options } = await drawTls12Options(pair.alice)
    const socket = connectTcp({ port: pair.port, host: '127.0.0.1' })
    socket.write(await captureHello(options))
    await once(socket, 'data')
    await dripOn(socket, Buffer.concat([Buffer.of(22, 3, 3, 2, 0, 16, 0, 1, 0xfc, 0, 128), Buffer.alloc(400, 'q')]))
    expect((await next(pair.refusals)).reason).to.equal('silent')
    expect(pair.bob.fetches).to.equal(0)
  })
})

/** Sends `bytes` one by one, a few in each turn of the clock, until the server closes. */
function drip(port: number, bytes: Buffer): Promise<void> {
  return dripOn(connectTcp({ port, host: '127.0.0.1', noDelay: true }), bytes.subarray(0, -1))
}

async function dripOn(socket: Socket, bytes: Buffer): Promise<void> {
  let at = 0
  const timer = setInterval(() => {
    if (socket.writable && at < bytes.byteLength) socket.write(bytes.subarray(at, ++at))
  }, 10)
  const closed = new Promise<void>(resolve => socket.on('close', () => resolve()))
  socket.on('error', () => {}).resume()
  await closed
  clearInterval(timer)
}

/** A session by node:tls alone, from another address of this machine. */
async function sessionFrom(localAddress: string, { port }: TlsPair, options: ConnectionOptions): Promise<void> {
  const raw = connectTcp({ port, host: '127.0.0.1', localAddress })
  const socket = connectTls({ socket: raw, ...options })
  await once(socket, 'secureConnect')
  socket.resume().end()
}
