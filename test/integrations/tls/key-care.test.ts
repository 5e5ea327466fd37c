import { once } from 'node:events'
import { expect } from 'chai'
import { qkdInfo } from '../../../integrations/tls/index.ts'
import { type Key, SecretKey } from '../../../lib/index.ts'
import { rejectsWith } from '../../helpers/rejects-with.ts'
import { drawPskOptions } from './plain-client.ts'
import { captureHello, sendRaw } from './raw-peer.ts'
import { createTlsPair, next, type TlsPair } from './tls-pair.ts'

describe('the bytes of a key', () => {
  /** Every buffer that left a SecretKey at the door of node:tls. */
  let lent: Buffer[]
  const { expose } = SecretKey.prototype

  beforeEach(() => {
    lent = []
    SecretKey.prototype.expose = function (door, use) {
      const result = expose.call(this, door, use)
      if (door === 'tls-psk') lent.push(result as Buffer)
      return result as never
    }
  })

  afterEach(() => {
    SecretKey.prototype.expose = expose
  })

  const expectWiped = (buffers: readonly Buffer[]) =>
    expect(buffers.every(buffer => buffer.every(byte => byte === 0))).to.equal(true)
  const expectAllWiped = (keys: readonly Key[]) => expect(keys.filter(({ secret }) => !secret.wiped)).to.be.empty

  for (const binding of ['role', 'raw'] as const) {
    for (const ecdhCurve of ['auto', 'P-384']) {
      it(`are wiped at both ends when the session stands (${binding}, groups ${ecdhCurve})`, async () => {
        await using pair = await createTlsPair({ peers: [{ saeId: 'alice', binding }], ecdhCurve })
        const client = await pair.connect({ binding })
        const server = await next(pair.sessions)
        expect(lent).to.have.length(2)
        expectWiped(lent)
        expectAllWiped([...pair.alice.keys, ...pair.bob.keys])
        server.write('still here')
        expect(String(await once(client, 'data'))).to.equal('still here')
        client.destroy()
      })
    }
  }

  it('are wiped at both ends when the handshake fails', async () => {
    await using pair = await createTlsPair({ ecdhCurve: 'P-521' })
    await rejectsWith(pair.connect({ requireGroup: 'P-384' }), 'ERR_QKD_PSK_HANDSHAKE')
    await next(pair.refusals)
    expect(lent).to.have.length(2)
    expectWiped(lent)
    expectAllWiped(pair.alice.keys)
  })

  it('are wiped at the client when the server refuses it', async () => {
    await using pair = await createTlsPair({ peers: [{ saeId: 'carol' }] })
    const error = await rejectsWith(pair.connect(), 'ERR_QKD_PSK_HANDSHAKE')
    expect(error.details).to.deep.equal([{ alert: 51 }])
    expectWiped(lent)
    expectAllWiped(pair.alice.keys)
  })

  it('are wiped at the server when it closes over keys that nobody proved', async () => {
    const pair = await createTlsPair({ peers: [{ saeId: 'alice', binding: 'raw' }] })
    const { options } = await drawPskOptions(pair.alice)
    expect((await sendRaw(pair.port, await captureHello(options))).alert).to.equal(51)
    expect(pair.bob.keys.map(({ secret }) => secret.wiped)).to.deep.equal([false])
    await pair[Symbol.asyncDispose]()
    expectAllWiped(pair.bob.keys)
  })

  it('stand in nothing that a session, an error or the telemetry shows', async () => {
    await using pair = await createTlsPair()
    const events: unknown[] = []
    pair.telemetry.subscribe(event => events.push(event))
    const client = await pair.connect()
    await next(pair.sessions)
    expect(events).to.deep.equal([
      {
        type: 'tls-session',
        masterSaeId: 'alice',
        slaveSaeId: 'bob',
        keyId: qkdInfo(client)!.keyId,
        level: 'quantum',
      },
    ])
    expect(Object.keys(qkdInfo(client)!).sort()).to.deep.equal([
      'cipher',
      'group',
      'keyId',
      'level',
      'masterSaeId',
      'slaveSaeId',
    ])
    client.destroy()
  })

  it('are refused below 256 bits by the client too, and wiped', async () => {
    await using pair = await createTlsPair()
    pair.alice.alter = keys => keys.map(key => ({ ...key, secret: SecretKey.random(16) }))
    for (const binding of ['role', 'raw'] as const) {
      const error = await rejectsWith(pair.connect({ binding }), 'ERR_QKD_PSK_HANDSHAKE')
      expect(error.message).to.include('16 bytes')
    }
    expectAllWiped(pair.alice.keys)
    expectNoLookups(pair)
  })
})

function expectNoLookups(pair: TlsPair): void {
  expect(pair.bob.fetches).to.equal(0)
}
