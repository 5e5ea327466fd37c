import { once } from 'node:events'
import { request as plainRequest } from 'node:http'
import { request as tlsRequest } from 'node:https'
import { connect } from 'node:net'
import { expect } from 'chai'
import type { ConsoleFeed } from '../../lib/console/console-feed.ts'
import { createConsoleServer } from '../../lib/console/console-server.ts'
import { readPageFiles } from '../../lib/console/page-files.ts'
import { InvalidArgumentError } from '../../lib/errors.ts'
import { createTestAuthority } from '../helpers/test-certificates.ts'
import { until } from '../helpers/until.ts'

/** A feed whose frames the test makes. */
class HandFeed implements ConsoleFeed {
  readonly listeners = new Set<(frame: string) => void>()
  isClosed = false

  async hello() {
    return 'event: state\ndata: {}\n\n'
  }

  subscribe(listener: (frame: string) => void) {
    this.listeners.add(listener)
    return () => void this.listeners.delete(listener)
  }

  async close() {
    this.isClosed = true
  }

  [Symbol.asyncDispose]() {
    return this.close()
  }
}

const at = { host: '127.0.0.1', port: 0 }

async function serve(options: Partial<Parameters<typeof createConsoleServer>[0]> = {}) {
  const feed = new HandFeed()
  const server = createConsoleServer({ feed, ...at, ...options })
  await server.listen()
  const { port } = new URL(server.url)
  return { feed, server, port: Number(port), [Symbol.asyncDispose]: () => server.close() }
}

interface AskOptions {
  readonly method?: string
  readonly headers?: Record<string, string>
  readonly tls?: object
}

interface Answer {
  status: number
  headers: Record<string, string | string[] | undefined>
  text: string
}

/** One request; the answer's first bytes where it does not end. */
async function ask(
  port: number,
  path: string,
  { method = 'GET', headers = {}, tls }: AskOptions = {},
): Promise<Answer> {
  const options = { host: '127.0.0.1', port, path, method, headers, agent: false, ...tls }
  const asked = tls === undefined ? plainRequest(options) : tlsRequest(options)
  asked.end()
  const [response] = await once(asked, 'response')
  const [chunk] =
    method === 'HEAD' ? [''] : await Promise.race([once(response, 'data'), once(response, 'end').then(() => [''])])
  asked.destroy()
  return { status: response.statusCode, headers: response.headers, text: String(chunk) }
}

describe('createConsoleServer', () => {
  it('refuses an address that others reach, unless they show certificates', () => {
    const open = (host: string) => () => createConsoleServer({ feed: new HandFeed(), host, port: 0 })
    for (const host of ['0.0.0.0', '::', '192.0.2.1', 'example.net', '127.0.0.1.example.net']) {
      expect(open(host), host).to.throw(InvalidArgumentError, /open to the network.*viewers/)
    }
    for (const host of ['127.0.0.1', 'localhost', '::1', '127.8.9.1']) expect(open(host), host).to.not.throw()
  })

  it('answers with everything that keeps other origins and inline scripts out', async () => {
    await using served = await serve()
    for (const path of ['/', '/app.mjs', '/style.css', '/nothing', '/events']) {
      const { headers } = await ask(served.port, path)
      const policy = String(headers['content-security-policy'])
      expect(policy, path).to.include("default-src 'none'").and.include("script-src 'self'")
      expect(policy).to.include("frame-ancestors 'none'").and.not.include('unsafe')
      expect(headers).to.include({ 'x-content-type-options': 'nosniff', 'referrer-policy': 'no-referrer' })
      expect(headers).to.include({ 'cache-control': 'no-store', 'cross-origin-resource-policy': 'same-origin' })
      expect(headers).to.not.have.property('access-control-allow-origin')
    }
  })

  it('takes GET alone, and only paths that it knows', async () => {
    await using served = await serve()
    for (const method of ['POST', 'PUT', 'DELETE', 'OPTIONS', 'HEAD']) {
      const { status, headers } = await ask(served.port, '/', { method })
      expect(status, method).to.equal(405)
      expect(headers.allow).to.equal('GET')
    }
    for (const path of ['/../package.json', '/%2e%2e/x', '/page/app.mjs', '//', '/app.mjs/']) {
      expect((await ask(served.port, path)).status, path).to.equal(404)
    }
    expect((await ask(served.port, '/?x=1')).status).to.equal(200)
  })

  it('refuses names that somebody else points at it', async () => {
    await using served = await serve()
    for (const host of ['evil.example', 'evil.example:80', '127.0.0.1.evil.example', '169.254.1.1', 'a b']) {
      expect((await ask(served.port, '/', { headers: { host } })).status, host).to.equal(421)
    }
    for (const host of ['localhost:9999', '127.0.0.1', '[::1]:9015']) {
      expect((await ask(served.port, '/', { headers: { host } })).status, host).to.equal(200)
    }
  })

  it('keeps pages of other origins from its events', async () => {
    await using served = await serve()
    for (const site of ['cross-site', 'same-site']) {
      expect((await ask(served.port, '/events', { headers: { 'sec-fetch-site': site } })).status).to.equal(403)
      expect((await ask(served.port, '/', { headers: { 'sec-fetch-site': site } })).status).to.equal(200)
    }
    expect((await ask(served.port, '/events', { headers: { 'sec-fetch-site': 'same-origin' } })).status).to.equal(200)
  })

  it('serves elsewhere than on loopback only who is a viewer by certificate', async () => {
    const authority = createTestAuthority()
    const strangers = createTestAuthority()
    const isViewer = ({ commonName }: { commonName: string | undefined }) => commonName === 'operator'
    await using served = await serve({ host: '0.0.0.0', tls: { ...authority.issue('kme-a'), isViewer } })
    const as = (name: string, of = authority) => ({
      tls: { ...of.issue(name), ca: authority.ca, servername: 'localhost' },
    })
    expect(served.server.url).to.match(/^https:/)
    expect((await ask(served.port, '/', as('operator'))).status).to.equal(200)
    expect(await ask(served.port, '/', as('alice'))).to.include({ status: 403 })
    expect((await ask(served.port, '/events', as('alice'))).status).to.equal(403)
    expect((await ask(served.port, '/', { ...as('operator'), headers: { host: 'evil.example' } })).status).to.equal(421)
    const fails = async (tls: object) =>
      ask(served.port, '/', { tls }).then(
        () => 'answered',
        (error: Error) => error.message,
      )
    expect(await fails({ ca: authority.ca, servername: 'localhost' })).to.match(
      /certificate required|ECONNRESET|socket hang up|alert/i,
    )
    expect(await fails(as('operator', strangers).tls)).to.match(/alert|ECONNRESET|socket hang up|unknown ca/i)
  })

  it('serves so many browsers at a time, and the next when one has left', async () => {
    await using served = await serve({ maxClients: 2 })
    const open = () => fetch(`${served.server.url}events`, { signal: leaving.signal })
    const leaving = new AbortController()
    expect((await open()).status).to.equal(200)
    expect((await open()).status).to.equal(200)
    const third = await ask(served.port, '/events')
    expect(third).to.include({ status: 503 })
    expect(third.headers['retry-after']).to.equal('30')
    expect((await ask(served.port, '/')).status).to.equal(200)
    await until(() => served.feed.listeners.size === 2, 'both are fed')
    leaving.abort()
    await until(() => served.feed.listeners.size === 0, 'both have left')
    expect((await ask(served.port, '/events')).status).to.equal(200)
  })

  it('drops a browser that does not read, and no other', async () => {
    await using served = await serve()
    const reader = await fetch(`${served.server.url}events`)
    const deaf = connect(served.port, '127.0.0.1')
    deaf.on('error', () => {})
    deaf.write('GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n')
    await until(() => served.feed.listeners.size === 2, 'both are fed')
    deaf.pause()
    let readBytes = 0
    const reading = (async () => {
      for await (const chunk of reader.body!) readBytes += chunk.byteLength
    })().catch(() => {})
    const frame = `event: delta\ndata: "${'x'.repeat(1 << 20)}"\n\n`
    let sent = 0
    await until(async () => {
      // One at a time: who reads must have what was sent before.
      if (readBytes >= sent * frame.length) {
        for (const listener of served.feed.listeners) listener(frame)
        sent += 1
      }
      return served.feed.listeners.size === 1
    }, 'the deaf one is dropped')
    expect(sent).to.be.below(40)
    await served.server.close()
    expect(served.feed.isClosed).to.equal(true)
    await reading
    deaf.destroy()
  })
})

describe('readPageFiles', () => {
  it('gives everything that the page loads, in less than 100 kB, and nothing from elsewhere', async () => {
    const files = await readPageFiles()
    const gzipBytes = [...files.values()].reduce((all, { gzip }) => all + gzip.byteLength, 0)
    console.log(`      ${files.size} files, ${gzipBytes} bytes with gzip`)
    expect(gzipBytes).to.be.below(100_000)
    for (const [path, { body, type }] of files) {
      const text = body.toString()
      if (type.startsWith('text/javascript')) {
        for (const [, named] of text.matchAll(/\bfrom\s?["']([^"']+)["']/g)) {
          expect([...files.keys()], `${path} imports ${named}`).to.include(new URL(named!, `http://x${path}`).pathname)
        }
      }
      const urls = text.match(/https?:\/\/[^\s"'`)]+/g) ?? []
      expect(
        urls.filter(url => !url.startsWith('http://www.w3.org/')),
        path,
      ).to.deep.equal([])
    }
  })
})
