import { randomBytes, randomUUID } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import {
  type ConnectionOptions,
  connect as connectTls,
  createServer as createTlsServer,
  type TLSSocket,
} from 'node:tls'
import { fileURLToPath } from 'node:url'
import { expect } from 'chai'
import { admitted } from '../../../integrations/tls/admitted-connection.ts'
import { type GateOptions, qkdInfo, serverOptions } from '../../../integrations/tls/index.ts'
import { requirePskSession, requireTls12PskSession } from '../../../integrations/tls/session.ts'
import { rejectsWith } from '../../helpers/rejects-with.ts'
import { createTempDir } from '../../helpers/temp-dir.ts'
import { createTestAuthority } from '../../helpers/test-certificates.ts'
import { PeerProcess } from './peer-process.ts'
import { drawPskOptions, pskOptions, tls12Options } from './plain-client.ts'
import { createTlsPair, next, type TlsPair, watchServer } from './tls-pair.ts'

const { key, cert, ca } = createTestAuthority().issue('bob.example')

describe('a TLS server that has a certificate as well', () => {
  it('uses the key of a client that has one', async () => {
    await using pair = await createTlsPair({ key, cert })
    const client = await pair.connect()
    expect(qkdInfo(await next(pair.sessions))!.keyId).to.equal(qkdInfo(client)!.keyId)
    client.destroy()
  })

  it('refuses a client that would do with the certificate', async () => {
    await using pair = await createTlsPair({ key, cert })
    expect(await outcome(pair, { ca })).to.equal('alert 40')
    expect((await next(pair.refusals)).reason).to.equal('no-psk')
  })

  it('runs its application outside the scope of the handshake', async () => {
    await using pair = await createTlsPair({ key, cert })
    const scope = new Promise(resolve => pair.server.on('secureConnection', () => resolve(admitted.getStore())))
    const client = await pair.connect()
    expect(await scope).to.equal(undefined)
    client.destroy()
  })

  it('announces no session in which OpenSSL passed over a good key', async () => {
    await using pair = await createTlsPair({ key, cert })
    // What renewing a certificate does by the way: back to the default suites, of which OpenSSL takes one with SHA-384.
    pair.server.setSecureContext({ key, cert })
    const { options } = await drawPskOptions(pair.alice)
    await outcome(pair, { ...options, ca, ciphers: 'TLS_AES_256_GCM_SHA384:TLS_AES_128_GCM_SHA256' })
    expect((await next(pair.refusals)).reason).to.equal('downgrade')
    expect(pair.sessions.size).to.equal(0)
  })

  describe('and lets clients with certificates in', () => {
    const allow: Partial<GateOptions> & { key: string; cert: string } = { certificate: 'allow', key, cert }

    it('tells its application which kind of session it has', async () => {
      await using pair = await createTlsPair(allow)
      expect(await outcome(pair, { ca })).to.equal('certificate')
      expect(qkdInfo(await next(pair.sessions))).to.equal(undefined)
      const client = await pair.connect()
      expect(qkdInfo(await next(pair.sessions))!.keyId).to.equal(qkdInfo(client)!.keyId)
      client.destroy()
    })

    it('gives a client that names a key this key or nothing', async () => {
      await using pair = await createTlsPair(allow)
      const unknown = pskOptions(`q1~alice~${randomUUID()}`, randomBytes(32))
      expect(await outcome(pair, { ...unknown, ca })).to.equal('alert 51')
      expect(await outcome(pair, { ...pskOptions('q1~broken', randomBytes(32)), ca })).to.equal('alert 51')
    })

    it('resumes no session from a ticket, neither under a key nor under a certificate', async () => {
      await using pair = await createTlsPair(allow)
      const { options } = await drawPskOptions(pair.alice)
      for (const first of [options, { ca }]) {
        const session = await ticketOf(pair, first)
        await next(pair.sessions)
        const resumed = await outcome(pair, { ca, session })
        expect(resumed).to.equal('certificate')
        expect((await next(pair.sessions)).isSessionReused()).to.equal(false)
      }
    })
  })
})

describe('a TLS server whose context was set anew with our options', () => {
  it('goes on as before', async () => {
    await using pair = await createTlsPair({ key, cert })
    pair.server.setSecureContext({ key, cert, ...serverOptions({}) })
    const client = await pair.connect()
    expect(qkdInfo(await next(pair.sessions))!.keyId).to.equal(qkdInfo(client)!.keyId)
    client.destroy()
    expect(await outcome(pair, { ca })).to.equal('alert 40')
  })
})

describe('a TLS server whose context was set anew without our options', () => {
  it('announces no session that was resumed from a ticket', async () => {
    await using pair = await createTlsPair({ certificate: 'allow', key, cert })
    pair.server.setSecureContext({ key, cert })
    const session = await ticketOf(pair, { ca })
    await next(pair.sessions)
    expect(await outcome(pair, { ca, session })).to.equal('resumed')
    expect((await next(pair.refusals)).reason).to.equal('downgrade')
    expect(pair.sessions.size).to.equal(0)
  })
})

describe('a ticket of a session under a key', () => {
  it('opens nothing after the key was erased', async () => {
    await using pair = await createTlsPair()
    const { options } = await drawPskOptions(pair.alice)
    const session = await ticketOf(pair, options)
    await next(pair.sessions)
    const { pskCallback: _, ...withoutKey } = options
    expect(await outcome(pair, { ...withoutKey, session })).to.equal('alert 51')
    expect(pair.sessions.size).to.equal(0)
  })

  it('would be honoured by node:tls alone', async () => {
    const psk = randomBytes(32)
    let asked = 0
    const { ca: _, pskCallback, ...options } = pskOptions('anybody', psk)
    const server = createTlsServer({
      ...options,
      pskCallback: () => {
        asked += 1
        return psk
      },
    })
    await using watched = await watchServer(server)
    const session = await ticketOf(watched, { ...options, pskCallback, ca: [] })
    expect(await outcome(watched, { ...options, session })).to.equal('resumed')
    expect(asked).to.equal(1)
  })
})

describe('connect', () => {
  it('makes no session with a server that has only a certificate', async () => {
    await using watched = await watchServer(createTlsServer({ key, cert }))
    await using pair = await createTlsPair()
    await rejectsWith(pair.connect({ port: watched.port }), 'ERR_QKD_PSK_HANDSHAKE')
  })

  it('trusts no authority, not even one that all of Node trusts', async function () {
    // A whole Node starts and compiles here: a second alone, far more on a busy machine.
    const start = { timeoutMs: 40_000 }
    this.timeout(start.timeoutMs + 10_000)
    await using dir = await createTempDir()
    const caFile = join(dir.path, 'ca.pem')
    await writeFile(caFile, ca)
    await using watched = await watchServer(createTlsServer({ key, cert }))
    const script = fileURLToPath(new URL('./trusting-client.ts', import.meta.url))
    await using client = new PeerProcess(process.execPath, ['--import', 'tsx', script, String(watched.port)], {
      ...process.env,
      NODE_EXTRA_CA_CERTS: caFile,
      NODE_TLS_REJECT_UNAUTHORIZED: '0',
    })
    await client.printed(/node:tls alone: session\n/, start)
    await client.printed(/connect: ERR_QKD_PSK_HANDSHAKE UNABLE_TO_VERIFY_LEAF_SIGNATURE\n/)
    await next(watched.refusals)
    expect(watched.sessions.size).to.equal(1)
  })

  it('takes no option with which a certificate could stand in for the key', async () => {
    await using pair = await createTlsPair()
    for (const option of ['ca', 'session', 'ciphers', 'maxVersion', 'rejectUnauthorized', 'pskCallback']) {
      const error = await rejectsWith(pair.connect({ [option]: 'x' }), 'ERR_QKD_INVALID_ARGUMENT')
      expect(error.message).to.include(option)
    }
    expect(pair.alice.keys).to.be.empty
  })
})

describe('requirePskSession', () => {
  it('throws for a session under a certificate, at both ends', async () => {
    await using watched = await watchServer(createTlsServer({ key, cert }))
    const client = connectTls({ host: '127.0.0.1', port: watched.port, ca })
    const server = await next(watched.sessions)
    for (const end of [client, server]) {
      expect(() => requirePskSession(end)).to.throw('without the pre-shared key')
    }
    client.destroy()
  })

  it('throws for TLS 1.2', async () => {
    await using watched = await watchServer(createTlsServer({ key, cert, maxVersion: 'TLSv1.2' }))
    const client = connectTls({ host: '127.0.0.1', port: watched.port, ca })
    expect(() => requirePskSession(client)).to.throw()
    const server = await next(watched.sessions)
    expect(() => requirePskSession(server)).to.throw('TLSv1.2')
    client.destroy()
  })
})

describe('requireTls12PskSession', () => {
  const suites = ['ECDHE-PSK-CHACHA20-POLY1305'] as const

  it('throws for a session under a certificate, and for TLS 1.3', async () => {
    for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
      await using watched = await watchServer(createTlsServer({ key, cert, maxVersion }))
      const client = connectTls({ host: '127.0.0.1', port: watched.port, ca })
      const server = await next(watched.sessions)
      expect(() => requireTls12PskSession(server, suites)).to.throw(maxVersion === 'TLSv1.2' ? 'without' : 'TLSv1.3')
      client.destroy()
    }
  })

  it('throws for a session under a key that was resumed', async () => {
    const psk = randomBytes(32)
    const options = tls12Options('anybody', psk)
    const { ciphers, maxVersion } = options
    await using watched = await watchServer(createTlsServer({ ciphers, maxVersion, pskCallback: () => psk }))
    const session = await ticketOf(watched, options)
    const first = await next(watched.sessions)
    expect(() => requireTls12PskSession(first, suites)).not.to.throw()
    const client = connectTls({ host: '127.0.0.1', port: watched.port, ...options, session })
    const again = await next(watched.sessions)
    expect(() => requireTls12PskSession(again, suites)).to.throw('without the pre-shared key')
    client.destroy()
  })
})

/** What becomes of a handshake by node:tls alone. */
async function outcome({ port }: Pick<TlsPair, 'port'>, options: ConnectionOptions): Promise<string> {
  const socket = connectTls({ host: '127.0.0.1', port, ...options })
  return new Promise(resolve => {
    socket.on('secureConnect', () => {
      const kind = socket.getPeerX509Certificate() !== undefined ? 'certificate' : 'resumed'
      socket.resume().end(() => resolve(kind))
    })
    socket.on('error', ({ message }) => resolve(`alert ${/alert number (\d+)/.exec(message)?.[1] ?? message}`))
  })
}

/** A ticket that the server gives after a handshake. */
async function ticketOf({ port }: Pick<TlsPair, 'port'>, options: ConnectionOptions): Promise<Buffer> {
  const socket: TLSSocket = connectTls({ host: '127.0.0.1', port, ...options })
  const ticket = await new Promise<Buffer>((resolve, reject) => {
    socket.on('session', resolve).on('error', reject)
  })
  socket.destroy()
  return ticket
}
