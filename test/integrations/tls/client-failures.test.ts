import { readFileSync } from 'node:fs'
import { createServer as createTcpServer, type Socket } from 'node:net'
import { createServer as createTlsServer } from 'node:tls'
import { expect } from 'chai'
import type { ConnectOptions, HandshakeFailure } from '../../../integrations/tls/index.ts'
import { REFUSAL_REASONS } from '../../../integrations/tls/refusal.ts'
import { KmeUnreachableError, SecretKey } from '../../../lib/index.ts'
import { createTestAuthority } from '../../helpers/test-certificates.ts'
import { tls12Options } from './plain-client.ts'
import { createTlsPair, type TlsPair, watchServer } from './tls-pair.ts'

describe('HandshakeFailure', () => {
  it('says key-refused where the server does not take the key, in either version', async () => {
    await using stranger = await createTlsPair({ peers: [{ saeId: 'carol' }] })
    await expectFailure(stranger, {}, { reason: 'key-refused', alert: 51 })
    await using pair = await createTlsPair()
    await expectFailure(pair, { binding: 'raw' }, { reason: 'key-refused', alert: 51 })
    const { ciphers } = tls12Options('', Buffer.alloc(32))
    const old = { ciphers, maxVersion: 'TLSv1.2', minVersion: 'TLSv1.2' } as const
    await using other = await watchServer(createTlsServer({ ...old, pskCallback: () => Buffer.alloc(32) }))
    await expectFailure(pair, { port: other.port, minVersion: 'TLSv1.2' }, { reason: 'key-refused', alert: 20 })
    await using none = await watchServer(createTlsServer({ ...old, pskCallback: () => null }))
    await expectFailure(pair, { port: none.port, minVersion: 'TLSv1.2' }, { reason: 'key-refused', alert: 115 })
  })

  it('says server-failed where the KMS of the server fails', async () => {
    await using pair = await createTlsPair()
    pair.bob.beforeFetch = () => {
      throw new KmeUnreachableError('Gone')
    }
    await expectFailure(pair, {}, { reason: 'server-failed', alert: 80 })
  })

  it('says nothing-in-common, and version', async () => {
    await using pair = await createTlsPair({ ecdhCurve: 'X25519' })
    await expectFailure(pair, { requireGroup: 'P-384' }, { reason: 'nothing-in-common', alert: 40 })
    const { ciphers } = tls12Options('', Buffer.alloc(32))
    await using old = await watchServer(createTlsServer({ ciphers, maxVersion: 'TLSv1.2', pskCallback: () => null }))
    await expectFailure(pair, { port: old.port }, { reason: 'version', alert: 70 })
  })

  it('says certificate for a server that is not under keys', async () => {
    const { key, cert } = createTestAuthority().issue('bob.example')
    await using pair = await createTlsPair()
    await using web = await watchServer(createTlsServer({ key, cert }))
    await expectFailure(pair, { port: web.port }, { reason: 'certificate', alert: undefined })
  })

  it('says not-tls for another protocol, and closed where nothing was said', async () => {
    await using pair = await createTlsPair()
    for (const [answer, reason] of [
      [(socket: Socket) => socket.end('220 ready\r\n'), 'not-tls'],
      [(socket: Socket) => socket.end(), 'closed'],
      [(socket: Socket) => socket.resetAndDestroy(), 'closed'],
    ] as const) {
      const server = createTcpServer(socket => {
        socket.on('error', () => {}).once('data', () => answer(socket))
      })
      await using watched = await watchServer(server as never)
      await expectFailure(pair, { port: watched.port }, { reason, alert: undefined })
    }
  })

  it('says short-key for what the own KMS gave', async () => {
    await using pair = await createTlsPair()
    pair.alice.alter = keys => keys.map(key => ({ ...key, secret: SecretKey.random(16) }))
    await expectFailure(pair, {}, { reason: 'short-key', alert: undefined })
  })

  it('stands in the documentation with each of its reasons, as those of a server do', () => {
    const text = readFileSync(new URL('../../../docs/errors.md', import.meta.url), 'utf8')
    const source = readFileSync(new URL('../../../integrations/tls/handshake-failure.ts', import.meta.url), 'utf8')
    const reasons = [...source.matchAll(/^ {2}\| '([a-z-]+)'$/gm)].map(([, reason]) => reason!)
    expect(reasons).to.include.members(['key-refused', 'handshake'])
    for (const reason of [...reasons, ...REFUSAL_REASONS]) expect(text).to.include(`| \`${reason}\` |`)
  })
})

async function expectFailure(
  pair: TlsPair,
  options: Partial<ConnectOptions>,
  expected: Pick<HandshakeFailure, 'reason' | 'alert'>,
): Promise<void> {
  const error = (await pair.connect(options).catch(error => error)) as HandshakeFailure
  const { code, reason, alert, message } = error
  expect({ code, reason, alert }, message).to.deep.equal({ code: 'ERR_QKD_PSK_HANDSHAKE', ...expected })
  expect(message).to.include('bob')
}
