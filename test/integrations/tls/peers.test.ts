import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { connect as connectTcp } from 'node:net'
import { join } from 'node:path'
import type { TLSSocket } from 'node:tls'
import { expect } from 'chai'
import { qkdInfo } from '../../../integrations/tls/index.ts'
import { exportKey, type Key, SecretKey } from '../../../lib/index.ts'
import { peerProgram } from '../../helpers/peer-program.ts'
import { createTempDir } from '../../helpers/temp-dir.ts'
import { findFreePort, PeerProcess } from './peer-process.ts'
import { createTlsPair, next, type TlsPair } from './tls-pair.ts'

/** Without -KX-ALL gnutls would go on with a certificate, or offer its key without Diffie-Hellman. */
const GNUTLS_PRIORITY = 'NORMAL:-VERS-ALL:+VERS-TLS1.3:-KX-ALL:+ECDHE-PSK'
const foreign = { peers: [{ saeId: 'alice', binding: 'raw' as const }] }

/** A key of alice for bob as these programs take it. Its bytes are worth nothing once the test is over. */
async function drawForeignKey(pair: TlsPair): Promise<{ key: Key; identity: string; hex: string }> {
  const [key] = (await pair.alice.getKey('bob', { sizeBits: 256 })) as [Key]
  return { key, identity: `q1~alice~${key.keyId}`, hex: exportKey(key.secret).toString('hex') }
}

describe('createServer', () => {
  it('serves openssl s_client', async function () {
    const openssl = peerProgram(this, 'openssl', 'openssl')
    await using pair = await createTlsPair(foreign)
    const { identity, hex } = await drawForeignKey(pair)
    const address = ['-connect', `127.0.0.1:${pair.port}`]
    await using client = new PeerProcess(openssl, [
      's_client',
      ...address,
      '-tls1_3',
      ...['-psk_identity', identity, '-psk', hex],
    ])
    await expectServed(pair, client, identity)
    await client.printed(/Reused, TLSv1\.3/)
  })

  it('serves gnutls-cli', async function () {
    const gnutls = peerProgram(this, 'gnutls-cli', 'gnutls-bin')
    await using pair = await createTlsPair(foreign)
    const { identity, hex } = await drawForeignKey(pair)
    await using client = new PeerProcess(gnutls, [
      ...['--port', String(pair.port), '--priority', GNUTLS_PRIORITY],
      ...['--pskusername', identity, '--pskkey', hex, '127.0.0.1'],
    ])
    await expectServed(pair, client, identity)
  })

  it('serves stunnel', async function () {
    const stunnel = peerProgram(this, 'stunnel', 'stunnel4')
    await using dir = await createTempDir()
    await using pair = await createTlsPair(foreign)
    const { identity, hex } = await drawForeignKey(pair)
    const port = await findFreePort()
    const config = await writeStunnelConfig(dir.path, `${identity}:${hex}`, [
      'client = yes',
      `PSKidentity = ${identity}`,
      `accept = 127.0.0.1:${port}`,
      `connect = 127.0.0.1:${pair.port}`,
    ])
    await using program = new PeerProcess(stunnel, [config])
    await program.printed(/Configuration successful/)
    const local = connectTcp({ port, host: '127.0.0.1' })
    const server = await next(pair.sessions)
    expect(`q1~alice~${qkdInfo(server)!.keyId}`).to.equal(identity)
    local.write('through stunnel')
    await expectData(server, 'through stunnel')
    local.destroy()
  })

  it('refuses openssl s_client with a wrong key', async function () {
    const openssl = peerProgram(this, 'openssl', 'openssl')
    await using pair = await createTlsPair(foreign)
    const { identity } = await drawForeignKey(pair)
    await using client = new PeerProcess(openssl, [
      ...['s_client', '-connect', `127.0.0.1:${pair.port}`, '-tls1_3'],
      ...['-psk_identity', identity, '-psk', '00'.repeat(32)],
    ])
    await client.printed(/alert number 51/)
    expect((await next(pair.refusals)).reason).to.equal('binder')
  })
})

describe('connect', () => {
  it('makes a session with openssl s_server', async function () {
    const openssl = peerProgram(this, 'openssl', 'openssl')
    await using pair = await createTlsPair()
    const { key, identity, hex } = await drawForeignKey(pair)
    await using server = new PeerProcess(openssl, [
      ...['s_server', '-accept', '127.0.0.1:0', '-tls1_3', '-nocert', '-rev'],
      ...['-psk_identity', identity, '-psk', hex],
    ])
    const [, port] = await server.printed(/ACCEPT 127\.0\.0\.1:(\d+)/)
    const client = await connectForeign(pair, key, Number(port))
    client.write('drawkcab\n')
    await expectData(client, 'backward\n')
    client.destroy()
  })

  it('makes no session with openssl s_server that has another key', async function () {
    const openssl = peerProgram(this, 'openssl', 'openssl')
    await using pair = await createTlsPair()
    const { key, identity } = await drawForeignKey(pair)
    await using server = new PeerProcess(openssl, [
      ...['s_server', '-accept', '127.0.0.1:0', '-tls1_3', '-nocert', '-rev'],
      ...['-psk_identity', identity, '-psk', '00'.repeat(32)],
    ])
    const [, port] = await server.printed(/ACCEPT 127\.0\.0\.1:(\d+)/)
    const error = await connectForeign(pair, key, Number(port)).catch(error => error)
    expect(error.code).to.equal('ERR_QKD_PSK_HANDSHAKE')
  })

  it('makes a session with gnutls-serv', async function () {
    const gnutls = peerProgram(this, 'gnutls-serv', 'gnutls-bin')
    await using dir = await createTempDir()
    await using pair = await createTlsPair()
    const { key, identity, hex } = await drawForeignKey(pair)
    const passwords = join(dir.path, 'psk')
    await writeFile(passwords, `${identity}:${hex}\n`, { mode: 0o600 })
    const port = await findFreePort()
    await using server = new PeerProcess(gnutls, [
      ...['--port', String(port), '--echo', '--priority', GNUTLS_PRIORITY],
      ...['--pskpasswd', passwords],
    ])
    await server.printed(/listening on IPv4 .*done/)
    const client = await connectForeign(pair, key, port)
    client.write('echo\n')
    await expectData(client, 'echo\n')
    client.destroy()
  })

  it('makes a session with stunnel', async function () {
    const stunnel = peerProgram(this, 'stunnel', 'stunnel4')
    await using dir = await createTempDir()
    await using pair = await createTlsPair()
    const { key, identity, hex } = await drawForeignKey(pair)
    const [port, echoPort] = [await findFreePort(), pair.port]
    const config = await writeStunnelConfig(dir.path, `${identity}:${hex}`, [
      `accept = 127.0.0.1:${port}`,
      // Behind it stands our own server: what answers is a TLS alert, which shows that the bytes came through.
      `connect = 127.0.0.1:${echoPort}`,
    ])
    await using program = new PeerProcess(stunnel, [config])
    await program.printed(/Configuration successful/)
    const client = await connectForeign(pair, key, port)
    client.write('no TLS')
    await once(client, 'data', { signal: AbortSignal.timeout(10_000) })
    expect((await next(pair.refusals)).reason).to.equal('not-tls')
    client.destroy()
  })
})

/** The client's line arrives, and ours arrives at the client, under the key it was given. */
async function expectServed(pair: TlsPair, client: PeerProcess, identity: string): Promise<void> {
  const server = await next(pair.sessions)
  expect(`q1~alice~${qkdInfo(server)!.keyId}`).to.equal(identity)
  client.write('from outside\n')
  await expectData(server, 'from outside')
  server.write('from Node\n')
  await client.printed(/from Node/)
}

async function expectData(socket: TLSSocket, text: string): Promise<void> {
  const [data] = await once(socket, 'data', { signal: AbortSignal.timeout(10_000) })
  expect(String(data)).to.include(text)
}

/** Connects under a key that was drawn before, because these servers have to be told it when they start. */
function connectForeign(pair: TlsPair, key: Key, port: number): Promise<TLSSocket> {
  pair.alice.alter = keys => {
    for (const { secret } of keys) secret.wipe()
    return [{ ...key, secret: SecretKey.adopt(exportKey(key.secret)) }]
  }
  return pair.connect({ port, binding: 'raw' })
}

async function writeStunnelConfig(folder: string, secret: string, lines: readonly string[]): Promise<string> {
  const [secrets, config] = [join(folder, 'secrets'), join(folder, 'stunnel.conf')]
  await writeFile(secrets, `${secret}\n`, { mode: 0o600 })
  const common = [
    'foreground = yes',
    'pid =',
    'debug = notice',
    '[psk]',
    'sslVersion = TLSv1.3',
    `PSKsecrets = ${secrets}`,
  ]
  await writeFile(config, [...common, ...lines, ''].join('\n'))
  return config
}
