import assert from 'node:assert/strict'
import type { HttpHandler, HttpRequest, HttpResponse, HttpTransport } from '../../lib/interface/http.ts'
import { type ComplianceCase, runSuite, type TestSetup } from './suite.ts'

/** What the suite needs of a backend. */
export interface HttpTransportFixture {
  /**
   * A fresh transport whose requests end at `handler`, as the client whose certificate has the common name
   * `clientName`. What it needs besides is closed by the fixture's teardown.
   */
  open(handler: HttpHandler): Promise<HttpTransport>
  readonly clientName: string
}

type Case = ComplianceCase<HttpTransportFixture>

const bytes = (value: string) => new TextEncoder().encode(value)
const text = (body: Uint8Array) => Buffer.from(body).toString()
const hasCode = (code: string) => (error: unknown) => (error as { code?: string }).code === code
const answer = (body: Uint8Array, more: Partial<HttpResponse> = {}): HttpResponse => ({
  status: 200,
  headers: {},
  body,
  ...more,
})

/** Requests that the handler was given, and an answer that tells what was in them. */
function recorder(): { handler: HttpHandler; seen: HttpRequest[] } {
  const seen: HttpRequest[] = []
  const handler: HttpHandler = async request => {
    seen.push(request)
    return answer(bytes(`${request.method} ${request.target} ${text(request.body)}`))
  }
  return { handler, seen }
}

/** A handler that answers nothing until it is let go. */
function gate(): { handler: HttpHandler; entered: Promise<HttpRequest>; open: () => void } {
  let open = () => {}
  let enter: (request: HttpRequest) => void = () => {}
  const opened = new Promise<void>(resolve => {
    open = resolve
  })
  const entered = new Promise<HttpRequest>(resolve => {
    enter = resolve
  })
  const handler: HttpHandler = async request => {
    enter(request)
    await opened
    return answer(bytes('let go'))
  }
  return { handler, entered, open }
}

const cases: readonly Case[] = [
  [
    'hands method, target, headers and body over as they were sent',
    async ({ open }) => {
      const { handler, seen } = recorder()
      await using transport = await open(handler)
      const target = '/api/v1/keys/a%2Fb%3A%20c/enc_keys?number=3&x=%26'
      const response = await transport.request({
        method: 'POST',
        target,
        headers: { 'Content-Type': 'application/json', 'x-trace': 'abc' },
        body: bytes('{"number":1}'),
      })
      assert.equal(text(response.body), `POST ${target} {"number":1}`)
      assert.equal(seen[0]?.headers['content-type'], 'application/json')
      assert.equal(seen[0]?.headers['x-trace'], 'abc')
      assert.equal(seen[0]?.target, target)
    },
  ],
  [
    'sends a GET without a body and gets an empty answer',
    async ({ open }) => {
      const seen: HttpRequest[] = []
      await using transport = await open(async request => {
        seen.push(request)
        return answer(new Uint8Array(0), { status: 204 })
      })
      const response = await transport.request({ method: 'GET', target: '/' })
      assert.equal(response.status, 204)
      assert.equal(response.body.byteLength, 0)
      assert.equal(seen[0]?.body.byteLength, 0)
    },
  ],
  [
    'tells the handler who asks',
    async ({ open, clientName }) => {
      const { handler, seen } = recorder()
      await using transport = await open(handler)
      await transport.request({ method: 'GET', target: '/' })
      await transport.request({ method: 'GET', target: '/' })
      for (const request of seen) {
        assert.equal(request.identity?.commonName, clientName)
        assert.match(request.identity?.fingerprint256 ?? '', /^[0-9a-f]{64}$/)
      }
      assert.equal(seen.length, 2)
    },
  ],
  [
    'gives back status, headers in lower case and any bytes',
    async ({ open }) => {
      const body = Uint8Array.from({ length: 300_000 }, (_, n) => (n * 7) % 256)
      await using transport = await open(async () =>
        answer(body, { status: 503, headers: { 'retry-after': '2', 'content-type': 'application/octet-stream' } }),
      )
      const response = await transport.request({ method: 'GET', target: '/' })
      assert.equal(response.status, 503)
      assert.equal(response.headers['retry-after'], '2')
      assert.equal(response.headers['content-type'], 'application/octet-stream')
      assert.ok(Buffer.from(response.body).equals(body))
    },
  ],
  [
    'takes every status for an answer, a redirect too',
    async ({ open }) => {
      await using transport = await open(async ({ target }) =>
        answer(bytes('x'), { status: Number(target.slice(1)), headers: { location: '/200' } }),
      )
      for (const status of [200, 302, 400, 401, 404, 413, 500, 503]) {
        assert.equal((await transport.request({ method: 'GET', target: `/${status}` })).status, status)
      }
    },
  ],
  [
    'gives each of many requests at once its own answer',
    async ({ open }) => {
      const { handler } = recorder()
      await using transport = await open(handler)
      const targets = Array.from({ length: 100 }, (_, n) => `/${n}`)
      const responses = await Promise.all(
        targets.map(target => transport.request({ method: 'POST', target, body: bytes(target) })),
      )
      assert.deepEqual(
        responses.map(response => text(response.body)),
        targets.map(target => `POST ${target} ${target}`),
      )
    },
  ],
  [
    'leaves the secret answer to the caller and wipes it at the server',
    async ({ open }) => {
      const given: Uint8Array[] = []
      let told = () => {}
      const done = new Promise<void>(resolve => {
        told = resolve
      })
      await using transport = await open(async ({ target }) => {
        if (target === '/after') return answer(bytes('x'))
        const body = bytes('key bytes')
        given.push(body)
        told()
        return answer(body, { secret: true })
      })
      const response = await transport.request({ method: 'GET', target: '/' })
      await done
      assert.equal(text(response.body), 'key bytes')
      // The server may wipe a moment after the client has read; another exchange comes after that moment.
      await transport.request({ method: 'GET', target: '/after' })
      assert.ok(given[0]?.every(byte => byte === 0))
      assert.equal(text(response.body), 'key bytes')
    },
  ],
  [
    'sends nothing when the signal was aborted before, and rethrows its reason',
    async ({ open }) => {
      const { handler, seen } = recorder()
      await using transport = await open(handler)
      const reason = new Error('changed my mind')
      await assert.rejects(transport.request({ method: 'GET', target: '/', signal: AbortSignal.abort(reason) }), reason)
      await transport.request({ method: 'GET', target: '/next' })
      assert.deepEqual(
        seen.map(request => request.target),
        ['/next'],
      )
    },
  ],
  [
    'rethrows the reason of an abort under way, and tells the handler that the caller has gone',
    async ({ open }) => {
      const { handler, entered, open: letGo } = gate()
      await using transport = await open(handler)
      const controller = new AbortController()
      const reason = new Error('no patience')
      const rejected = assert.rejects(
        transport.request({ method: 'GET', target: '/', signal: controller.signal }),
        reason,
      )
      const request = await entered
      controller.abort(reason)
      await rejected
      if (!request.signal.aborted) {
        await new Promise(resolve => request.signal.addEventListener('abort', resolve, { once: true }))
      }
      letGo()
    },
  ],
  [
    'finishes running requests on close, refuses new ones, and closes twice',
    async ({ open }) => {
      const { handler, entered, open: letGo } = gate()
      const transport = await open(handler)
      const running = transport.request({ method: 'GET', target: '/' })
      await entered
      const closing = transport.close()
      await assert.rejects(transport.request({ method: 'GET', target: '/' }), hasCode('ERR_QKD_CLOSED'))
      letGo()
      assert.equal(text((await running).body), 'let go')
      await closing
      await transport.close()
    },
  ],
]

/** Runs the contract of `HttpTransport` against one backend. */
export function httpTransportCompliance(setup: TestSetup<HttpTransportFixture>): void {
  runSuite('HttpTransport', setup, cases)
}
