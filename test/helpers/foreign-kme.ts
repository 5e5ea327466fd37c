import { randomBytes, randomUUID } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer, type Server } from 'node:https'
import { type AddressInfo, isIP } from 'node:net'
import type { TLSSocket } from 'node:tls'
import type { TestCredentials } from './test-certificates.ts'

/** A key that the pair of KMEs holds for the slave. */
interface HeldKey {
  readonly keyId: string
  readonly key: string
  readonly masterSaeId: string
  readonly slaveSaeIds: readonly string[]
}

interface KeyRequest {
  readonly number?: number
  readonly size?: number
  readonly additional_slave_SAE_IDs?: readonly string[]
  readonly extension_mandatory?: readonly unknown[]
}

/** One KME of a foreign pair, as the hosts of its site see it. */
export interface ForeignKme {
  readonly kmeId: string
  readonly url: string
}

/** A pair of KMEs of somebody else's make. */
export interface ForeignKmePair extends AsyncDisposable {
  readonly kmes: readonly [ForeignKme, ForeignKme]
  /** How many keys were handed to masters so far, and to slaves. */
  readonly issuedCount: number
  readonly fetchedCount: number
  /** Lets no more key come from its devices: what is in stock can be used up. */
  stop(): void
  start(): void
}

/** What differs from one make to the next. */
export interface ForeignKmeOptions {
  /** How it writes key_IDs, which it reads either way. Default upper case. */
  readonly keyIds?: 'upper' | 'lower'
  /** Keys in stock for each direction, which its devices fill up at once. Default 25,000. */
  readonly stock?: number
}

const LIMITS = { defaultBits: 256, maxBits: 1024, minBits: 64, maxPerRequest: 128, storedKeyCount: 25_000 }

/**
 * Two KMEs written from the text of ETSI GS QKD 014 V1.1.1 alone, sharing nothing with the code under test: random upper-case
 * key_IDs that mean nothing, no levels, no extensions, fields that the standard doesn't know, identity by common name.
 */
export async function createForeignKmePair(
  credentials: readonly [TestCredentials, TestCredentials],
  saeIds: readonly [readonly string[], readonly string[]],
  { keyIds = 'upper', stock = LIMITS.storedKeyCount }: ForeignKmeOptions = {},
): Promise<ForeignKmePair> {
  const held = new Map<string, HeldKey>()
  const stored = [stock, stock]
  let filled = true
  const counts = { issued: 0, fetched: 0 }
  const names = ['NULLA-QKD-7F-A', 'NULLA-QKD-7F-B'] as const

  function answer(site: 0 | 1, caller: string, method: string, target: URL, body: unknown): [number, unknown] {
    const [, api, version, keys, encoded = '', call] = target.pathname.split('/')
    if (api !== 'api' || version !== 'v1' || keys !== 'keys') return [400, { message: 'no such resource' }]
    const otherSae = decodeURIComponent(encoded)
    if (call === 'status') return method === 'GET' ? status(site, caller, otherSae) : [400, { message: 'GET only' }]
    if (call === 'enc_keys') return issue(site, caller, otherSae, (body ?? fromQuery(target)) as KeyRequest)
    if (call === 'dec_keys') return fetchKeys(caller, otherSae, body ?? idsFromQuery(target))
    return [400, { message: 'no such resource' }]
  }

  function status(site: 0 | 1, master: string, slave: string): [number, unknown] {
    if (!saeIds[1 - site]!.includes(slave)) return [400, { message: 'unknown slave SAE' }]
    return [
      200,
      {
        source_KME_ID: names[site],
        target_KME_ID: names[1 - site],
        master_SAE_ID: master,
        slave_SAE_ID: slave,
        key_size: LIMITS.defaultBits,
        stored_key_count: stored[site],
        max_key_count: stock,
        max_key_per_request: LIMITS.maxPerRequest,
        max_key_size: LIMITS.maxBits,
        min_key_size: LIMITS.minBits,
        max_SAE_ID_count: 0,
        status_extension: { nulla_temperature: 4.2 },
      },
    ]
  }

  function issue(site: 0 | 1, masterSaeId: string, slave: string, request: KeyRequest): [number, unknown] {
    const { number = 1, size = LIMITS.defaultBits } = request
    if (!saeIds[1 - site]!.includes(slave)) return [400, { message: 'unknown slave SAE' }]
    if (size % 8 !== 0) return [400, { message: 'size shall be a multiple of 8' }]
    if (size < LIMITS.minBits || size > LIMITS.maxBits) return [400, { message: 'size out of range' }]
    if (number < 1 || number > LIMITS.maxPerRequest) return [400, { message: 'number out of range' }]
    if (request.additional_slave_SAE_IDs?.length) return [400, { message: 'no multicast here' }]
    if (request.extension_mandatory?.length)
      return [400, { message: 'not all extension_mandatory parameters are supported' }]
    if (number > stored[site]!) return [503, { message: 'not enough keys in stock' }]
    if (!filled) stored[site]! -= number
    const keys = Array.from({ length: number }, () => {
      const keyId = keyIds === 'upper' ? randomUUID().toUpperCase() : randomUUID()
      const key = randomBytes(size / 8).toString('base64')
      held.set(keyId.toLowerCase(), { keyId, key, masterSaeId, slaveSaeIds: [slave] })
      counts.issued += 1
      return { key_ID: keyId, key, key_ID_extension: null }
    })
    return [200, { keys, key_container_extension: { nulla_batch: counts.issued } }]
  }

  function fetchKeys(caller: string, master: string, body: unknown): [number, unknown] {
    const { key_IDs: asked } = body as { key_IDs?: { key_ID: string }[] }
    if (!Array.isArray(asked) || asked.length === 0) return [400, { message: 'key_IDs is missing' }]
    const found = asked.map(entry => ({ keyId: entry.key_ID, entry: held.get(entry.key_ID.toLowerCase()) }))
    for (const { entry } of found) {
      if (entry === undefined || entry.masterSaeId !== master)
        return [400, { message: 'one or more keys specified are not found on KME' }]
      if (!entry.slaveSaeIds.includes(caller)) return [401, undefined]
    }
    for (const { keyId } of found) held.delete(keyId.toLowerCase())
    counts.fetched += found.length
    return [200, { keys: found.map(({ entry }) => ({ key_ID: entry!.keyId, key: entry!.key })) }]
  }

  const servers = await Promise.all(
    credentials.map(async (own, index) => {
      const site = index as 0 | 1
      const options = { ...own, requestCert: true, rejectUnauthorized: true, minVersion: 'TLSv1.2' } as const
      const server = createServer(options, (request, response) => {
        void serve(request, response, (caller, method, target, body) =>
          saeIds[site].includes(caller) ? answer(site, caller, method, target, body) : [401, undefined],
        )
      })
      await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
      return server
    }),
  )
  const kme = (site: 0 | 1): ForeignKme => ({ kmeId: names[site], url: urlOf(servers[site]!) })
  return {
    kmes: [kme(0), kme(1)],
    get issuedCount() {
      return counts.issued
    },
    get fetchedCount() {
      return counts.fetched
    },
    stop: () => {
      filled = false
    },
    start: () => {
      filled = true
      stored.fill(stock)
    },
    [Symbol.asyncDispose]: async () => {
      await Promise.all(servers.map(closeServer))
    },
  }
}

type Answer = (caller: string, method: string, target: URL, body: unknown) => [number, unknown]

async function serve(request: IncomingMessage, response: ServerResponse, answer: Answer): Promise<void> {
  const caller = String((request.socket as TLSSocket).getPeerCertificate().subject?.CN ?? '')
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk as Buffer)
  const text = Buffer.concat(chunks).toString()
  const target = new URL(request.url ?? '/', 'https://kme')
  const [code, body] = answer(caller, request.method ?? '', target, text === '' ? undefined : JSON.parse(text))
  if (body === undefined) response.writeHead(code).end()
  else response.writeHead(code, { 'Content-Type': 'application/json' }).end(JSON.stringify(body))
}

function fromQuery(target: URL): KeyRequest {
  const [number, size] = [target.searchParams.get('number'), target.searchParams.get('size')]
  return { ...(number && { number: Number(number) }), ...(size && { size: Number(size) }) }
}

function idsFromQuery(target: URL): unknown {
  const keyId = target.searchParams.get('key_ID')
  return { key_IDs: keyId === null ? [] : [{ key_ID: keyId }] }
}

function urlOf(server: Server): string {
  const { address, port } = server.address() as AddressInfo
  return `https://${isIP(address) === 6 ? `[${address}]` : address}:${port}`
}

async function closeServer(server: Server): Promise<void> {
  const closed = new Promise(resolve => server.close(resolve))
  server.closeAllConnections()
  await closed
}
