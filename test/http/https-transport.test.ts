import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { createServer, type Server, type Socket } from 'node:net'
import { join } from 'node:path'
import { createServer as createTlsServer, type TLSSocket } from 'node:tls'
import { expect } from 'chai'
import { createHttpsServer, type HttpsServer } from '../../lib/http/https-server.ts'
import { createHttpsTransport, type HttpsTransportOptions } from '../../lib/http/https-transport.ts'
import type { HttpHandler } from '../../lib/interface/http.ts'
import { tlsGroups } from '../../lib/util/tls-groups.ts'
import { httpTransportCompliance } from '../compliance/http-transport.ts'
import { createZooKme } from '../helpers/kme-zoo/zoo-kme.ts'
import { peerProgram } from '../helpers/peer-program.ts'
import { rejectsWith } from '../helpers/rejects-with.ts'
import { createTempDir } from '../helpers/temp-dir.ts'
import { createTestAuthority } from '../helpers/test-certificates.ts'

const authority = createTestAuthority()
const kme = authority.issue('kme-1', { uriSans: ['urn:qkdkit:kme:KME%201'] })
const sae = authority.issue('sae-1')
const ok: HttpHandler = async ({ target }) => ({ status: 200, headers: {}, body: Buffer.from(target) })

const servers: HttpsServer[] = []

httpTransportCompliance({
  backend: 'mutual TLS',
  setup: async () => ({
    clientName: 'sae-1',
    open: async handler => {
      const server = createHttpsServer({ ...kme, handler })
      servers.push(server)
      await server.listen()
      return createHttpsTransport({ ...sae, baseUrl: server.url })
    },
  }),
  teardown: async () => {
    await Promise.all(servers.map(server => server.close()))
  },
})

describe('HttpsTransport', () => {
  let server: HttpsServer
  let requests = 0

  const open = (options: Partial<HttpsTransportOptions> = {}) =>
    createHttpsTransport({ ...sae, baseUrl: server.url, ...options })
  const get = (transport: ReturnType<typeof open>, target = '/') => transport.request({ method: 'GET', target })

  before(async () => {
    server = createHttpsServer({
      ...kme,
      handler: async request => {
        requests += 1
        return ok(request)
      },
    })
    await server.listen()
  })

  beforeEach(() => {
    requests = 0
  })

  after(() => server.close())

  /** Expects a refusal that has surely sent nothing. */
  async function neverSends(options: Partial<HttpsTransportOptions>) {
    await using transport = open(options)
    const error = await rejectsWith(get(transport), 'ERR_QKD_KME_UNREACHABLE')
    expect(error.details).to.deep.equal([{ sent: false }])
    expect(requests).to.equal(0)
    return error
  }

  it('puts the path of the base URL before each target', async () => {
    await using transport = open({ baseUrl: `${server.url}/client/alice/etsi/` })
    expect(Buffer.from((await get(transport, '/api?x=1')).body).toString()).to.equal('/client/alice/etsi/api?x=1')
  })

  it('takes the KME it expects, by any of its names', async () => {
    for (const expectedKmeId of ['kme-1', 'KME 1', 'localhost', 'urn:qkdkit:kme:KME%201']) {
      await using transport = open({ expectedKmeId })
      expect((await get(transport)).status).to.equal(200)
    }
  })

  it('sends nothing to a KME that is not the expected one', async () => {
    expect((await neverSends({ expectedKmeId: 'kme-2' })).message).to.include('kme-2')
  })

  it('sends nothing to a KME that checkPeer refuses', async () => {
    await neverSends({ checkPeer: ({ commonName }) => commonName !== 'kme-1' })
  })

  it('sends nothing to a server whose certificate has another host name', async () => {
    await neverSends({ servername: 'kme.example' })
  })

  it('sends nothing to a server whose certificate another authority signed', async () => {
    await neverSends({ ca: createTestAuthority('Rogue CA').ca })
  })

  it('sends nothing where nobody listens, or nobody answers the handshake', async () => {
    const silent: Server = createServer()
    const sockets: Socket[] = []
    silent.on('connection', socket => void sockets.push(socket))
    silent.listen(0, '127.0.0.1')
    await once(silent, 'listening')
    const { port } = silent.address() as { port: number }
    const baseUrl = `https://127.0.0.1:${port}`
    await neverSends({ baseUrl, connectTimeoutMs: 50 })
    for (const socket of sockets) socket.destroy()
    await new Promise(resolve => silent.close(resolve))
    expect((await neverSends({ baseUrl })).message).to.include('ECONNREFUSED')
  })

  it('says that a request was sent when the connection ends without an answer', async () => {
    const rude = createTlsServer({ ...kme, requestCert: true }, socket => socket.once('data', () => socket.destroy()))
    rude.listen(0, '127.0.0.1')
    await once(rude, 'listening')
    const { port } = rude.address() as { port: number }
    await using transport = open({ baseUrl: `https://127.0.0.1:${port}` })
    const error = await rejectsWith(get(transport), 'ERR_QKD_KME_UNREACHABLE')
    expect(error.details).to.deep.equal([{ sent: true }])
    rude.close()
  })

  it('says that a request was sent when no answer comes in time, or half of one', async () => {
    const sockets: TLSSocket[] = []
    const slow = createTlsServer({ ...kme, requestCert: true }, socket => {
      sockets.push(socket)
      socket.on('error', () => {})
      socket.once('data', () => socket.write('HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf'))
    })
    slow.listen(0, '127.0.0.1')
    await once(slow, 'listening')
    const { port } = slow.address() as { port: number }
    await using transport = open({ baseUrl: `https://127.0.0.1:${port}`, timeoutMs: 100 })
    const late = await rejectsWith(get(transport), 'ERR_QKD_KME_UNREACHABLE')
    expect(late.details).to.deep.equal([{ sent: true }])
    await using patient = open({ baseUrl: `https://127.0.0.1:${port}` })
    const cut = get(patient)
    await once(slow, 'secureConnection')
    sockets.at(-1)?.once('data', () => sockets.at(-1)?.end())
    const error = await rejectsWith(cut, 'ERR_QKD_KME_UNREACHABLE')
    expect(error.details).to.deep.equal([{ sent: true }])
    for (const socket of sockets) socket.destroy()
    slow.close()
  })

  it('refuses an answer that is larger than its limit', async () => {
    await using transport = open({ maxResponseBytes: 100 })
    expect((await get(transport, `/${'x'.repeat(99)}`)).status).to.equal(200)
    await rejectsWith(get(transport, `/${'x'.repeat(100)}`), 'ERR_QKD_KME_RESPONSE')
    expect((await get(transport)).status).to.equal(200)
  })

  it('keeps its connections, and opens no more than it may', async () => {
    await using counting = await createZooKme(() => ({}), { credentials: kme })
    await using transport = open({ baseUrl: counting.url, maxConnections: 2 })
    await Promise.all(Array.from({ length: 20 }, () => get(transport)))
    await get(transport)
    expect(counting.connections).to.be.within(1, 2)
  })

  it('refuses more requests than may wait', async () => {
    await using transport = open({ maxConnections: 1, maxWaiting: 2 })
    const outcomes = await Promise.allSettled(Array.from({ length: 5 }, () => get(transport)))
    expect(outcomes.filter(outcome => outcome.status === 'fulfilled')).to.have.length(3)
  })

  it('lets go of a connection that is idle for longer than it may', async () => {
    await using counting = await createZooKme(() => ({}), { credentials: kme })
    await using transport = open({ baseUrl: counting.url, idleTimeoutMs: 1 })
    while (counting.connections < 2) {
      expect((await get(transport)).status).to.equal(200)
      await new Promise(resolve => setTimeout(resolve, 5))
    }
  })

  it('waits for an answer for longer than a connection may be idle, also on one that was used before', async () => {
    const slow = createHttpsServer({
      ...kme,
      handler: async request => {
        if (request.target === '/slow') await new Promise(resolve => setTimeout(resolve, 100))
        return ok(request)
      },
    })
    await slow.listen()
    await using transport = open({ baseUrl: slow.url, idleTimeoutMs: 20 })
    for (const target of ['/slow', '/', '/slow']) expect((await get(transport, target)).status).to.equal(200)
    await transport.close()
    await slow.close()
  })

  it('knows that nothing was done where the server refuses the certificate in so many words', async function () {
    const openssl = peerProgram(this, 'openssl', 'openssl')
    await using dir = await createTempDir()
    const [key, cert, ca] = ['key.pem', 'cert.pem', 'ca.pem'].map(name => join(dir.path, name)) as [
      string,
      string,
      string,
    ]
    await Promise.all([
      writeFile(key, kme.key, { mode: 0o600 }),
      writeFile(cert, kme.cert),
      writeFile(ca, createTestAuthority('Rogue CA').ca),
    ])
    const trust = ['-CAfile', ca, '-Verify', '1', '-verify_return_error']
    const server = spawn(openssl, ['s_server', '-accept', '127.0.0.1:0', '-key', key, '-cert', cert, '-www', ...trust])
    try {
      let heard = ''
      while (!/ACCEPT .*:\d+/.test(heard)) heard += String((await once(server.stdout, 'data'))[0])
      await using transport = open({ baseUrl: `https://127.0.0.1:${/ACCEPT .*:(\d+)/.exec(heard)?.[1]}` })
      const error = await rejectsWith(get(transport), 'ERR_QKD_KME_UNREACHABLE')
      expect(error.details).to.deep.equal([{ sent: false }])
    } finally {
      server.kill()
      await once(server, 'close')
    }
  })

  it('tells the key exchange group', async () => {
    await using transport = open()
    expect(transport.group).to.equal(undefined)
    await get(transport)
    expect(transport.postQuantum).to.equal(tlsGroups().includes('MLKEM'))
  })

  it('names what is wrong with its options', async () => {
    for (const baseUrl of ['http://kme', 'kme:8443', '', 'https://u:p@kme', 'https://kme/?x=1']) {
      expect(() => open({ baseUrl })).to.throw('baseUrl')
    }
    expect(() => open({ ca: [] })).to.throw('ca')
    expect(() => open({ key: undefined })).to.throw('key and cert')
    expect(() => open({ timeoutMs: 0 })).to.throw('timeoutMs')
  })
})
