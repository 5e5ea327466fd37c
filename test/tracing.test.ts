import { AsyncLocalStorage } from 'node:async_hooks'
import { hash } from 'node:crypto'
import { join } from 'node:path'
import {
  type Context,
  type ContextManager,
  context,
  propagation,
  ROOT_CONTEXT,
  type TextMapPropagator,
  TraceFlags,
  trace,
} from '@opentelemetry/api'
import {
  BasicTracerProvider,
  InMemorySpanExporter,
  type ReadableSpan,
  SimpleSpanProcessor,
} from '@opentelemetry/sdk-trace-base'
import { expect } from 'chai'
import { createRemoteKms } from '../lib/client/remote-kms.ts'
import { createHttpsTransport } from '../lib/http/https-transport.ts'
import { createSite, type ServedSite } from '../lib/site.ts'
import { createTempDir } from './helpers/temp-dir.ts'
import { createServedTestSites, type ServedTestSites } from './helpers/test-sites.ts'
import { until } from './helpers/until.ts'

/** Carries the present context over what is awaited, as the one of OpenTelemetry's packages for Node does. */
class AsyncContexts implements ContextManager {
  readonly #store = new AsyncLocalStorage<Context>()
  active(): Context {
    return this.#store.getStore() ?? ROOT_CONTEXT
  }
  with<A extends unknown[], F extends (...args: A) => ReturnType<F>>(
    at: Context,
    work: F,
    thisArg?: ThisParameterType<F>,
    ...args: A
  ): ReturnType<F> {
    return this.#store.run(at, () => work.call(thisArg, ...args))
  }
  bind<T>(_: Context, target: T): T {
    return target
  }
  enable(): this {
    return this
  }
  disable(): this {
    return this
  }
}

/** Reads the version 00 of `traceparent` (W3C Trace Context, 3.2). */
const traceContext: TextMapPropagator = {
  fields: () => ['traceparent'],
  inject: () => {},
  extract: (at, carrier, getter) => {
    const [, traceId, spanId] =
      /^00-([0-9a-f]{32})-([0-9a-f]{16})-01$/.exec(String(getter.get(carrier, 'traceparent'))) ?? []
    if (traceId === undefined || spanId === undefined) return at
    return trace.setSpanContext(at, { traceId, spanId, traceFlags: TraceFlags.SAMPLED, isRemote: true })
  },
}

describe('traces of key requests', () => {
  const exporter = new InMemorySpanExporter()
  let provider: BasicTracerProvider
  let dir: Awaited<ReturnType<typeof createTempDir>>
  let sites: ServedTestSites
  let site: ServedSite

  before(async () => {
    provider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] })
    trace.setGlobalTracerProvider(provider)
    context.setGlobalContextManager(new AsyncContexts())
    propagation.setGlobalPropagator(traceContext)
    dir = await createTempDir()
    sites = await createServedTestSites()
    const [config] = sites.configs
    await sites.sites[0].close()
    site = await createSite({ ...config, traces: true, audit: { file: join(dir.path, 'audit.log') } })
    const alice = site.kmsFor('alice')
    await until(async () => (await alice.getStatus('bob')).storedKeyCount > 0, 'keys are there', { timeoutMs: 30_000 })
  })

  after(async () => {
    await site.close()
    await sites[Symbol.asyncDispose]()
    await dir[Symbol.asyncDispose]()
    await provider.shutdown()
    trace.disable()
    context.disable()
    propagation.disable()
  })

  beforeEach(() => exporter.reset())

  /** Each span as its name below that of its parent, in the order in which they ended. */
  const tree = (spans: readonly ReadableSpan[]) => {
    const nameOf = new Map(spans.map(span => [span.spanContext().spanId, span.name]))
    return spans.map(({ name, parentSpanContext: parent }) => `${nameOf.get(parent?.spanId ?? '') ?? ''} > ${name}`)
  }

  it('follow an issue and a retrieval from HTTP by policy, audit and pool to the answer', async () => {
    await using alice = createRemoteKms({
      baseUrl: site.address.etsi014.url,
      saeId: 'alice',
      ...sites.credentials('alice'),
    })
    const bob = sites.sites[1].kmsFor('bob')
    const [key] = await alice.getKey('bob', { sizeBits: 256 })
    await until(() => exporter.getFinishedSpans().some(({ name }) => name === 'http'), 'the request is over')
    const issued = exporter.getFinishedSpans()
    expect(tree(issued)).to.deep.equal(['getKey > policy', 'pool > audit', 'getKey > pool', 'http > getKey', ' > http'])
    expect(new Set(issued.map(span => span.spanContext().traceId)).size).to.equal(1)
    const byName = Object.fromEntries(issued.map(span => [span.name, span.attributes]))
    const shortHash = hash('sha256', key!.keyId).slice(0, 16)
    expect(byName.getKey).to.deep.equal({
      'qkd.sae': 'alice',
      'qkd.peer_sae': 'bob',
      'qkd.keys': 1,
      'qkd.key_id_hashes': [shortHash],
      'qkd.level': 'quantum',
      'qkd.size_bits': 256,
    })
    expect(byName.http).to.include({ 'http.request.method': 'GET', 'http.response.status_code': 200 })
    expect(byName.pool).to.deep.equal({ 'qkd.peer_site': 'site-b' })

    exporter.reset()
    const [back] = await bob.getKey('alice')
    await alice.getKeyWithIds('bob', [back!.keyId])
    await until(() => exporter.getFinishedSpans().some(({ name }) => name === 'http'), 'the request is over')
    expect(tree(exporter.getFinishedSpans())).to.deep.equal([
      'getKeyWithIds > policy',
      'pool > audit',
      'getKeyWithIds > pool',
      'http > getKeyWithIds',
      ' > http',
    ])
  })

  it('join the trace of the caller', async () => {
    const traceId = '4bf92f3577b34da6a3ce929d0e0e4736'
    const transport = createHttpsTransport({ ...sites.credentials('alice'), baseUrl: site.address.etsi014.url })
    const headers = { traceparent: `00-${traceId}-00f067aa0ba902b7-01` }
    await transport.request({ method: 'GET', target: '/api/v1/keys/bob/enc_keys', headers })
    await transport.close()
    await until(() => exporter.getFinishedSpans().some(({ name }) => name === 'http'), 'the request is over')
    for (const span of exporter.getFinishedSpans()) expect(span.spanContext().traceId).to.equal(traceId)
  })

  it('tell of a refusal by its code, and hold no key and no key_ID', async () => {
    await using alice = createRemoteKms({
      baseUrl: site.address.etsi014.url,
      saeId: 'alice',
      ...sites.credentials('alice'),
    })
    const bob = sites.sites[1].kmsFor('bob')
    const secrets: string[] = []
    const keys = await alice.getKey('bob', { number: 3 })
    const [back] = await bob.getKey('alice')
    const [fetched] = await alice.getKeyWithIds('bob', [back!.keyId])
    await alice.getKeyWithIds('bob', [back!.keyId]).catch(() => {})
    for (const { keyId, secret } of [...keys, fetched!]) {
      secrets.push(keyId)
      secret.expose('application', bytes => {
        for (const coding of ['hex', 'base64'] as const) secrets.push(Buffer.from(bytes).toString(coding))
      })
    }
    await until(() => exporter.getFinishedSpans().filter(({ name }) => name === 'http').length === 3, 'all are over')
    const spans = exporter.getFinishedSpans()
    const refused = spans.filter(({ status }) => status.message === 'ERR_QKD_KEY_NOT_FOUND')
    expect(refused.map(({ name }) => name)).to.include.members(['pool', 'getKeyWithIds'])
    const all = JSON.stringify(
      spans.map(({ name, attributes, events, status }) => ({ name, attributes, events, status })),
    )
    for (const secret of secrets) expect(all).to.not.include(secret)
  })
})
