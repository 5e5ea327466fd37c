import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { type ConnectionOptions, connect as connectTls, createServer, type TLSSocket, type TlsOptions } from 'node:tls'
import { expect } from 'chai'
import {
  type ClientPskOptions,
  createPskCallbacks,
  drawClientPsk,
  type PskCallbacksOptions,
  qkdInfo,
} from '../../../integrations/tls/index.ts'
import { rejectsWith } from '../../helpers/rejects-with.ts'
import { createTestAuthority } from '../../helpers/test-certificates.ts'
import { until } from '../../helpers/until.ts'
import { createKmsPair } from './kms-pair.ts'
import { pskOptions } from './plain-client.ts'
import { next, watchServer } from './tls-pair.ts'
import { WatchedKms } from './watched-kms.ts'

const { key, cert, ca } = createTestAuthority().issue('bob.example')

describe('createPskCallbacks and drawClientPsk', () => {
  for (const binding of ['role', 'raw'] as const) {
    for (const ecdhCurve of ['auto', 'P-384']) {
      it(`make a session with TLS options of one's own (${binding}, groups ${ecdhCurve})`, async () => {
        await using site = await createSite({ peers: [{ saeId: 'alice', binding }] }, { ecdhCurve })
        const psk = await drawClientPsk(site.alice, { peerSaeId: 'bob', binding })
        await site.callbacks.expect(psk)
        const socket = await site.open(psk.options)
        psk.confirm(socket)
        const info = qkdInfo(await next(site.sessions))!
        expect(info).to.include({ masterSaeId: 'alice', slaveSaeId: 'bob', keyId: psk.keyId, level: 'quantum' })
        expect(qkdInfo(socket)).to.deep.equal({ ...info, group: qkdInfo(socket)!.group })
        expect([...site.alice.keys, ...site.bob.keys].every(({ secret }) => secret.wiped)).to.equal(true)
        socket.destroy()
      })
    }
  }

  it('make one session of each key', async () => {
    await using site = await createSite()
    const psk = await drawClientPsk(site.alice, { peerSaeId: 'bob' })
    await site.callbacks.expect(psk)
    const socket = await site.open(psk.options)
    expect((await site.open(psk.options).catch(error => error)).message).to.match(/alert|illegal/i)
    await rejectsWith(site.callbacks.expect(psk), 'ERR_QKD_PSK_HANDSHAKE')
    psk.confirm(socket)
    expect(await site.open(psk.options).catch(error => error)).to.be.instanceOf(Error)
    expect(site.bob.fetches).to.equal(1)
    socket.destroy()
  })

  it('keep a key for its client when another one tries it', async () => {
    await using site = await createSite()
    const psk = await drawClientPsk(site.alice, { peerSaeId: 'bob' })
    await site.callbacks.expect(psk)
    const guess = pskOptions(`q1~alice~${psk.keyId}`, Buffer.alloc(32, 7))
    expect(await site.open(guess).catch(error => error)).to.be.instanceOf(Error)
    const socket = await site.open(psk.options)
    psk.confirm(socket)
    expect(qkdInfo(await next(site.sessions))!.keyId).to.equal(psk.keyId)
    socket.destroy()
  })

  it('tell an unknown identity as little as a wrong key, and give it no certificate', async () => {
    await using site = await createSite({}, { key, cert })
    const psk = await drawClientPsk(site.alice, { peerSaeId: 'bob' })
    await site.callbacks.expect(psk)
    const outcomes = []
    for (const keyId of [psk.keyId, randomUUID(), 'no-key']) {
      const guess = { ...pskOptions(`q1~alice~${keyId}`, Buffer.alloc(32, 7)), ca }
      outcomes.push((await site.open(guess).catch(error => error)).message)
    }
    expect(new Set(outcomes.map(text => /alert number \d+/.exec(text)?.[0])).size).to.equal(1)
    psk[Symbol.dispose]()
  })

  it('wipe keys that nobody came for, at both ends', async () => {
    await using site = await createSite({ waitMs: 20 })
    const psk = await drawClientPsk(site.alice, { peerSaeId: 'bob', waitMs: 20 })
    await site.callbacks.expect(psk)
    const wiped = () => site.bob.keys.every(({ secret }) => secret.wiped)
    await until(() => wiped() && psk.options.pskCallback('') === null, 'the end of the keys')
    const other = await drawClientPsk(site.alice, { peerSaeId: 'bob' })
    await site.callbacks.expect(other)
    site.callbacks[Symbol.dispose]()
    await until(wiped, 'the end of the other key')
  })

  it('wipe the key of a session that does not stand on it, and destroy the session', async () => {
    await using site = await createSite({}, { key, cert })
    const psk = await drawClientPsk(site.alice, { peerSaeId: 'bob' })
    const socket = await site.open({ ca, servername: 'localhost' })
    expect(qkdInfo(await next(site.sessions))).to.equal(undefined)
    expect(() => psk.confirm(socket)).to.throw('without the pre-shared key')
    expect(socket.destroyed).to.equal(true)
    expect(psk.options.pskCallback('')).to.equal(null)
  })

  it('check their options at once', async () => {
    const { alice, bob } = await createKmsPair()
    for (const options of [{ peers: [] }, { peers: [{ saeId: 'alice' }], waitMs: 0 }]) {
      expect(() => createPskCallbacks(bob, options)).to.throw(/peers|waitMs/)
    }
    for (const [options, name] of [
      [{ peerSaeId: 'alice' }, 'peerSaeId'],
      [{ peerSaeId: 'bob', binding: 'x' }, 'binding'],
      [{ peerSaeId: 'bob', waitMs: 0 }, 'waitMs'],
    ] as const) {
      const error = await rejectsWith(drawClientPsk(alice, options as ClientPskOptions), 'ERR_QKD_INVALID_ARGUMENT')
      expect(error.message).to.include(name)
    }
    const { expect: announce } = createPskCallbacks(bob, { peers: [{ saeId: 'alice' }] })
    await rejectsWith(announce({ masterSaeId: 'carol', keyId: randomUUID() }), 'ERR_QKD_INVALID_ARGUMENT')
  })
})

async function createSite(options: Partial<PskCallbacksOptions> = {}, tls: TlsOptions = {}) {
  const pair = await createKmsPair()
  const [alice, bob] = [new WatchedKms(pair.alice), new WatchedKms(pair.bob)]
  const callbacks = createPskCallbacks(bob, { peers: [{ saeId: 'alice' }], ...options })
  const watched = await watchServer(createServer({ ...tls, ...callbacks.options }))
  return {
    ...watched,
    alice,
    bob,
    callbacks,
    /** A session by node:tls alone. */
    open: async (how: ConnectionOptions): Promise<TLSSocket> => {
      const socket = connectTls({ host: '127.0.0.1', port: watched.port, ...how })
      await once(socket, 'secureConnect')
      return socket
    },
    [Symbol.asyncDispose]: async () => {
      await watched[Symbol.asyncDispose]()
      callbacks[Symbol.dispose]()
    },
  }
}
