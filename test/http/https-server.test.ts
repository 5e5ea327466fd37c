import { once } from 'node:events'
import { type AddressInfo, createServer, connect as tcpConnect } from 'node:net'
import { connect, type TLSSocket } from 'node:tls'
import { expect } from 'chai'
import { createHttpsServer, type HttpsServerOptions } from '../../lib/http/https-server.ts'
import { createHttpsTransport } from '../../lib/http/https-transport.ts'
import type { HttpRequest } from '../../lib/interface/http.ts'
import { rejectsWith } from '../helpers/rejects-with.ts'
import { createTestAuthority } from '../helpers/test-certificates.ts'

const authority = createTestAuthority()
const kme = authority.issue('kme-1')
const sae = authority.issue('sae-1', { uriSans: ['urn:qkdkit:sae:sae-1'] })

/** A running server that answers with the target, and what it was asked. */
async function start(options: Partial<HttpsServerOptions> = {}) {
  const seen: HttpRequest[] = []
  const server = createHttpsServer({
    ...kme,
    handler: async request => {
      seen.push(request)
      return { status: 200, headers: {}, body: Buffer.from(request.target) }
    },
    ...options,
  })
  await server.listen()
  return { server, seen, transport: createHttpsTransport({ ...sae, baseUrl: server.url }) }
}

/** Everything that a bare TLS connection reads after it has written `text`, until the server closes it. */
async function talk(address: { host: string; port: number }, text: string, credentials: object = sae): Promise<string> {
  const socket: TLSSocket = connect({ ...address, ...credentials, ca: authority.ca })
  let heard = ''
  socket.setEncoding('utf8').on('data', data => {
    heard += data
  })
  let failure = ''
  socket.on('error', error => {
    failure = `failed: ${error.message}`
  })
  socket.write(text)
  await new Promise(resolve => socket.once('close', resolve))
  return heard === '' ? failure : heard
}

describe('HttpsServer', () => {
  describe('with connections that somebody else accepts', () => {
    /** A server that never listens, behind a door that hands everything to it. */
    async function behindDoor(options: Partial<HttpsServerOptions> = {}) {
      const handler = async ({ target }: HttpRequest) => ({ status: 200, headers: {}, body: Buffer.from(target) })
      const server = createHttpsServer({ ...kme, handler, ...options })
      const door = createServer({ pauseOnConnect: true }, socket => server.accept(socket)).listen(0, '127.0.0.1')
      await once(door, 'listening')
      const { address: host, port } = door.address() as AddressInfo
      const close = async () => {
        await server.close()
        door.close()
      }
      return { server, address: { host, port }, close }
    }

    it('serves them as its own', async () => {
      const { address, close } = await behindDoor()
      const text = 'GET /here HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n'
      expect(await talk(address, text)).to.match(/^HTTP\/1.1 200.*\/here$/s)
      await close()
    })

    it('cuts off who takes too long over a handshake or a request', async () => {
      const { address, close } = await behindDoor({ requestTimeoutMs: 200, handshakeTimeoutMs: 200 })
      expect(await talk(address, 'GET / HTTP/1.1\r\n')).to.match(/^HTTP\/1.1 408 /)
      const silent = tcpConnect(address)
      silent.resume()
      await once(silent, 'close')
      await close()
    })

    it('takes no more than it may at a time', async () => {
      const { address, close } = await behindDoor({ maxConnections: 1 })
      const first = connect({ ...address, ...sae })
      await once(first, 'secureConnect')
      expect(await talk(address, 'GET / HTTP/1.1\r\n')).to.match(/^failed/)
      first.destroy()
      await close()
    })

    it('answers what runs before its close ends, and takes no more', async () => {
      let finish: () => void = () => {}
      const asked = new Promise<void>(tell => {
        finish = tell
      })
      let answer: () => void = () => {}
      const handler = async () => {
        finish()
        await new Promise<void>(resolve => {
          answer = resolve
        })
        return { status: 200, headers: {}, body: Buffer.from('late') }
      }
      const { address, server, close } = await behindDoor({ handler })
      const talking = talk(address, 'GET / HTTP/1.1\r\nhost: x\r\n\r\n')
      await asked
      const closing = server.close()
      expect(await talk(address, 'GET / HTTP/1.1\r\n')).to.match(/^failed/)
      answer()
      expect(await talking).to.match(/late$/)
      await closing
      await close()
    })
  })

  it('lets nobody in without a certificate of its authority', async () => {
    const { server, seen } = await start()
    const rogue = createTestAuthority('Rogue CA').issue('sae-1')
    const request = 'GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n'
    for (const credentials of [{}, { key: rogue.key, cert: rogue.cert }]) {
      expect(await talk(server.address, request, credentials)).not.to.include('HTTP/1.1 200')
    }
    expect(await talk(server.address, request)).to.include('HTTP/1.1 200')
    expect(seen).to.have.length(1)
    await server.close()
  })

  it('refuses TLS 1.1', async () => {
    const { server, seen } = await start()
    const old = { ...sae, minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'ALL:@SECLEVEL=0' }
    const heard = await talk(server.address, 'GET / HTTP/1.1\r\nhost: x\r\n\r\n', old)
    expect(heard).to.match(/^failed/)
    expect(seen).to.have.length(0)
    await server.close()
  })

  it('serves TLS 1.2', async () => {
    const { server } = await start()
    const request = 'GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n'
    expect(await talk(server.address, request, { ...sae, maxVersion: 'TLSv1.2' })).to.include('HTTP/1.1 200')
    await server.close()
  })

  it('gives the handler no identity of an unverified caller where certificates are optional', async () => {
    const { server, seen } = await start({ clientCertificate: 'optional' })
    const rogue = createTestAuthority('Rogue CA').issue('sae-1')
    const request = 'GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n'
    for (const credentials of [{}, { key: rogue.key, cert: rogue.cert }, sae]) {
      expect(await talk(server.address, request, credentials)).to.include('HTTP/1.1 200')
    }
    expect(seen.map(({ identity }) => identity?.commonName)).to.deep.equal([undefined, undefined, 'sae-1'])
    await server.close()
  })

  it('reads the names in the certificate', async () => {
    const { server, seen, transport } = await start()
    await transport.request({ method: 'GET', target: '/' })
    expect(seen[0]?.identity).to.deep.include({ commonName: 'sae-1', uriSans: ['urn:qkdkit:sae:sae-1'] })
    expect(seen[0]?.identity?.dnsSans).to.deep.equal(['localhost'])
    await transport.close()
    await server.close()
  })

  it('answers 413 to a body beyond the limit, declared or not, and goes on', async () => {
    const { server, seen, transport } = await start({ bodyLimitBytes: 100 })
    const post = (sizeBytes: number) =>
      transport.request({ method: 'POST', target: '/', body: Buffer.alloc(sizeBytes, 'x') })
    expect((await post(100)).status).to.equal(200)
    const refused = await post(1_000_000)
    expect(refused.status).to.equal(413)
    expect(JSON.parse(Buffer.from(refused.body).toString()).message).to.include('100 bytes')
    const chunk = `64\r\n${'y'.repeat(100)}\r\n`
    const chunked = `POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n${chunk}${chunk}0\r\n\r\n`
    const next = 'GET /next HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n'
    const heard = await talk(server.address, chunked + next)
    expect(heard).to.match(/^HTTP\/1.1 413/)
    expect(heard).to.include('/next')
    expect(seen.map(({ target }) => target)).to.deep.equal(['/', '/next'])
    await transport.close()
    await server.close()
  })

  it('reads a chunked body and a target with the whole URL', async () => {
    const { server, seen } = await start()
    const head = 'POST https://kme.example:8443/a?b HTTP/1.1\r\nhost: x\r\nconnection: close\r\n'
    await talk(server.address, `${head}transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n`)
    expect(seen[0]?.target).to.equal('/a?b')
    expect(Buffer.from(seen[0]!.body).toString()).to.equal('abcde')
    await server.close()
  })

  it('drops who takes too long over the handshake or the request', async () => {
    const { server, seen } = await start({ handshakeTimeoutMs: 50, requestTimeoutMs: 100 })
    const mute = tcpConnect(server.address)
    mute.on('error', () => {})
    mute.resume()
    const heard = await talk(server.address, 'GET / HTTP/1.1\r\nhost: ')
    expect(heard).not.to.include('200')
    if (!mute.closed) await once(mute, 'close')
    expect(seen).to.have.length(0)
    await server.close()
  })

  it('answers 503 when too many requests run, and when a handler fails, without a word of the reason', async () => {
    let release = () => {}
    const held = new Promise<void>(resolve => {
      release = resolve
    })
    const { server, transport } = await start({
      maxRequests: 1,
      handler: async ({ target }) => {
        if (target === '/fail') throw new Error('inner secret')
        await held
        return { status: 200, headers: {}, body: Buffer.from('ok') }
      },
    })
    const failed = await transport.request({ method: 'GET', target: '/fail' })
    expect(failed.status).to.equal(503)
    expect(Buffer.from(failed.body).toString()).not.to.include('inner secret')
    const both = [1, 2].map(() => transport.request({ method: 'GET', target: '/' }))
    expect((await Promise.race(both)).status).to.equal(503)
    release()
    expect((await Promise.all(both)).map(({ status }) => status).sort()).to.deep.equal([200, 503])
    await transport.close()
    await server.close()
  })

  it('finishes running requests on close, drops idle connections and refuses new ones', async () => {
    let enter = () => {}
    let release = () => {}
    const entered = new Promise<void>(resolve => {
      enter = resolve
    })
    const held = new Promise<void>(resolve => {
      release = resolve
    })
    const { server, transport } = await start({
      handler: async () => {
        enter()
        await held
        return { status: 200, headers: {}, body: Buffer.from('finished') }
      },
    })
    const idle = connect({ ...server.address, ...sae })
    idle.on('error', () => {})
    idle.resume()
    await once(idle, 'secureConnect')
    const running = transport.request({ method: 'GET', target: '/' })
    await entered
    const dropped = once(idle, 'close')
    const closing = server.close()
    await dropped
    const late = createHttpsTransport({ ...sae, baseUrl: server.url })
    const error = await rejectsWith(late.request({ method: 'GET', target: '/' }), 'ERR_QKD_KME_UNREACHABLE')
    expect(error.details).to.deep.equal([{ sent: false }])
    release()
    const response = await running
    expect(Buffer.from(response.body).toString()).to.equal('finished')
    expect(response.headers.connection).to.equal('close')
    await closing
    await transport.close()
    await late.close()
  })

  it('drops what still runs when the drain time is over, or at an abort', async () => {
    for (const drainTimeoutMs of [20, 60_000]) {
      let enter = () => {}
      const entered = new Promise<void>(resolve => {
        enter = resolve
      })
      const { server, transport } = await start({
        drainTimeoutMs,
        handler: ({ signal }) => {
          enter()
          return new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
        },
      })
      const running = rejectsWith(transport.request({ method: 'GET', target: '/' }), 'ERR_QKD_KME_UNREACHABLE')
      await entered
      await server.close(drainTimeoutMs === 20 ? {} : { signal: AbortSignal.timeout(20) })
      expect((await running).details).to.deep.equal([{ sent: true }])
      await transport.close()
    }
  })

  it('tells in plain words that its port is taken, and does not listen once closed', async () => {
    const { server, transport } = await start()
    const second = createHttpsServer({ ...kme, port: server.address.port, handler: async () => Promise.reject() })
    const failure = await second.listen().catch((error: NodeJS.ErrnoException) => error.code)
    expect(failure).to.equal('EADDRINUSE')
    await second.close()
    await rejectsWith(second.listen(), 'ERR_QKD_CLOSED')
    await transport.close()
    await server.close()
    await server.close()
  })
})
