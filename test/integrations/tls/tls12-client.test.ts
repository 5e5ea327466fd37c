import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createSecureServer } from 'node:http2'
import { createServer as createHttpsServer, get } from 'node:https'
import { createServer as createTlsServer, type TlsOptions } from 'node:tls'
import { expect } from 'chai'
import {
  attach,
  connect,
  connectHttp2,
  createServer,
  QkdAgent,
  qkdInfo,
  serverOptions,
} from '../../../integrations/tls/index.ts'
import { InvalidArgumentError, type Key } from '../../../lib/index.ts'
import { rejectsWith } from '../../helpers/rejects-with.ts'
import { createTestAuthority } from '../../helpers/test-certificates.ts'
import { createKmsPair } from './kms-pair.ts'
import { rolePsk, tls12Options } from './plain-client.ts'
import { createTlsPair, readAll, watchServer } from './tls-pair.ts'
import { WatchedKms } from './watched-kms.ts'

const tls12 = { minVersion: 'TLSv1.2' } as const

describe('connect with TLS 1.2', () => {
  it('makes a session with a server that knows no better, and says which', async () => {
    await using pair = await createTlsPair()
    for (const ecdhCurve of ['auto', 'P-384']) {
      const { server, draw } = await createPlainServer({ ecdhCurve })
      await using watched = await watchServer(server)
      pair.alice.alter = draw
      const client = await pair.connect({ port: watched.port, ...tls12 })
      expect(client.getProtocol()).to.equal('TLSv1.2')
      const group = ecdhCurve === 'auto' ? 'X25519' : 'secp384r1'
      expect(qkdInfo(client)).to.include({ cipher: 'ECDHE-PSK-CHACHA20-POLY1305', group, level: 'quantum' })
      client.destroy()
    }
  })

  it('serves an agent of https, and a session of HTTP/2', async () => {
    const { alice } = await createKmsPair()
    const watched = new WatchedKms(alice)
    const { draw, server: plain, options } = await createPlainServer()
    watched.alter = draw
    const web = createHttpsServer(options, (_, response) => response.end('served'))
    await using site = await watchServer(web)
    const agent = new QkdAgent(watched, { peerSaeId: 'bob', ...tls12 })
    const [response] = await once(get({ host: '127.0.0.1', port: site.port, agent }), 'response')
    expect(qkdInfo(response.socket)!.cipher).to.equal('ECDHE-PSK-CHACHA20-POLY1305')
    expect(String(await readAll(response))).to.equal('served')
    agent.destroy()
    plain.close()
    const http2 = createSecureServer(options, (_, answer) => answer.end())
    await using second = await watchServer(http2)
    const session = await connectHttp2(watched, `https://127.0.0.1:${second.port}`, { peerSaeId: 'bob', ...tls12 })
    expect(qkdInfo(session.socket)!.cipher).to.equal('ECDHE-PSK-CHACHA20-POLY1305')
    session.destroy()
  })

  it('makes none unless it was asked for', async () => {
    await using pair = await createTlsPair()
    const { server, draw } = await createPlainServer()
    await using watched = await watchServer(server)
    pair.alice.alter = draw
    const error = await rejectsWith(pair.connect({ port: watched.port }), 'ERR_QKD_PSK_HANDSHAKE')
    expect(error.details).to.deep.equal([{ alert: 70 }])
  })

  it('uses a suite without (EC)DHE only where it is named', async () => {
    await using pair = await createTlsPair()
    const { server, draw } = await createPlainServer({ ciphers: 'PSK-AES256-GCM-SHA384' })
    await using watched = await watchServer(server)
    pair.alice.alter = draw
    await rejectsWith(pair.connect({ port: watched.port, ...tls12 }), 'ERR_QKD_PSK_HANDSHAKE')
    const options = { ...tls12, tls12Suites: ['PSK-AES256-GCM-SHA384'] } as const
    const client = await pair.connect({ port: watched.port, ...options })
    expect(qkdInfo(client)).to.include({ cipher: 'PSK-AES256-GCM-SHA384', group: undefined })
    client.destroy()
  })

  it('makes no session with a server that has a certificate, or another key', async () => {
    const { key, cert } = createTestAuthority().issue('bob.example')
    await using pair = await createTlsPair()
    await using other = await watchServer(createTlsServer({ key, cert, maxVersion: 'TLSv1.2' }))
    await rejectsWith(pair.connect({ port: other.port, ...tls12 }), 'ERR_QKD_PSK_HANDSHAKE')
    const { server } = await createPlainServer()
    await using watched = await watchServer(server)
    await rejectsWith(pair.connect({ port: watched.port, ...tls12 }), 'ERR_QKD_PSK_HANDSHAKE')
    expect(pair.alice.keys.every(({ secret }) => secret.wiped)).to.equal(true)
  })
})

describe('the options on TLS 1.2', () => {
  it('are checked at both ends, each fault by its name', async () => {
    const { alice, bob } = await createKmsPair()
    for (const [options, name] of [
      [{ minVersion: 'TLSv1.1' }, 'minVersion'],
      [{ tls12Suites: ['ECDHE-PSK-CHACHA20-POLY1305'] }, 'tls12Suites'],
      [{ ...tls12, tls12Suites: [] }, 'tls12Suites'],
      [{ ...tls12, tls12Suites: ['AES256-SHA'] }, 'AES256-SHA'],
      [{ ...tls12, tls12Suites: ['PSK-AES256-CCM'], requireGroup: 'X25519' }, 'PSK-AES256-CCM'],
    ] as const) {
      const given = options as unknown as typeof tls12
      expect(() => createServer(bob, { peers: [{ saeId: 'alice' }], ...given })).to.throw(InvalidArgumentError, name)
      const failed = await rejectsWith(
        connect(alice, { peerSaeId: 'bob', port: 1, ...given }),
        'ERR_QKD_INVALID_ARGUMENT',
      )
      expect(failed.message).to.include(name)
    }
    const server = createTlsServer({ ...serverOptions(tls12), maxVersion: 'TLSv1.2' })
    expect(() => attach(server, bob, { peers: [{ saeId: 'alice' }], ...tls12 })).to.throw('maxVersion')
    expect(() => attach(createTlsServer(serverOptions({})), bob, { peers: [{ saeId: 'alice' }], ...tls12 })).to.throw(
      'ciphers',
    )
  })
})

/** A server by node:tls alone that has the next key of alice once `draw` has seen it. */
async function createPlainServer(options: TlsOptions = {}) {
  let psk: Buffer = randomBytes(32)
  const { ciphers } = tls12Options('', psk)
  const own: TlsOptions = {
    ciphers,
    minVersion: 'TLSv1.2',
    maxVersion: 'TLSv1.2',
    ...options,
    pskCallback: () => psk,
  }
  const draw = (keys: Key[]) => {
    psk = rolePsk(keys[0]!, 'tls12')
    return keys
  }
  return { server: createTlsServer(own), options: own, draw }
}
