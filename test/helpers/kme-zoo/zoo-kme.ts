import { createServer as createHttpServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { createServer as createHttpsServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { TLSSocket } from 'node:tls'
import type { TestCredentials } from '../test-certificates.ts'
import { KeyRing } from './key-ring.ts'

/** A request as a KME of the zoo sees it. */
export interface ZooRequest {
  /** Last part of the standard's path; undefined for another path. */
  readonly call: 'status' | 'enc_keys' | 'dec_keys' | undefined
  readonly method: string
  /** Common name and serial number of the client's certificate; empty without TLS. */
  readonly caller: string
  readonly callerSerial: string
  /** The SAE in the path, decoded. */
  readonly saeId: string
  /** What follows the call in the path. */
  readonly tail: readonly string[]
  readonly query: URLSearchParams
  /** Undefined where there is none, or none that is JSON. */
  readonly body: unknown
  readonly text: string
  readonly contentType: string | undefined
}

/** What it answers; a body that is no text goes out as JSON. */
export interface ZooReply {
  readonly status?: number
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: unknown
}

/** One kind of KME. Who gives undefined has dealt with the response itself. */
export type ZooBehaviour = (request: ZooRequest, keys: KeyRing, response: ServerResponse) => ZooReply | undefined

export interface ZooOptions {
  /** Certificate of the KME; without it there's no TLS. */
  readonly credentials?: TestCredentials
  /** What stands before `/api/v1/keys`. Default nothing. */
  readonly prefix?: string
}

/** A KME of the zoo at work. */
export interface ZooKme extends AsyncDisposable {
  readonly url: string
  /** Requests that arrived, by what they ask. */
  readonly counts: Readonly<Record<'status' | 'enc_keys' | 'dec_keys' | 'other', number>>
  /** Requests that arrived and ask for keys: a client may make each once. */
  readonly consuming: number
  readonly connections: number
  readonly keys: KeyRing
  /** Ends every connection on which no request is under way, as a server does that is tired of waiting. */
  closeIdle(): void
}

const CALLS = ['status', 'enc_keys', 'dec_keys'] as const

/** Starts a KME that behaves so, on loopback, and counts what it is asked. */
export async function createZooKme(
  behave: ZooBehaviour,
  { credentials, prefix = '' }: ZooOptions = {},
): Promise<ZooKme> {
  const counts = { status: 0, enc_keys: 0, dec_keys: 0, other: 0 }
  const keys = new KeyRing()
  let connections = 0
  const listener = async (incoming: IncomingMessage, response: ServerResponse) => {
    const request = await readRequest(incoming, prefix)
    counts[request.call ?? 'other'] += 1
    const reply = behave(request, keys, response)
    if (reply !== undefined) send(response, reply)
  }
  const onRequest = (incoming: IncomingMessage, response: ServerResponse) => {
    listener(incoming, response).catch(() => response.destroy())
  }
  const mutual = { requestCert: true, rejectUnauthorized: true, minVersion: 'TLSv1.2' } as const
  const server: Server =
    credentials === undefined
      ? createHttpServer(onRequest)
      : createHttpsServer({ ...credentials, ...mutual }, onRequest)
  server.on('connection', () => {
    connections += 1
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return {
    url: `${credentials === undefined ? 'http' : 'https'}://127.0.0.1:${port}${prefix}`,
    counts,
    get consuming() {
      return counts.enc_keys + counts.dec_keys
    },
    get connections() {
      return connections
    },
    keys,
    closeIdle: () => server.closeIdleConnections(),
    [Symbol.asyncDispose]: async () => {
      const closed = new Promise(resolve => server.close(resolve))
      server.closeAllConnections()
      await closed
    },
  }
}

async function readRequest(incoming: IncomingMessage, prefix: string): Promise<ZooRequest> {
  const chunks: Buffer[] = []
  for await (const chunk of incoming) chunks.push(chunk as Buffer)
  const text = Buffer.concat(chunks).toString()
  const url = new URL(incoming.url ?? '/', 'https://kme')
  const path = url.pathname.startsWith(`${prefix}/api/v1/keys/`) ? url.pathname.slice(prefix.length) : ''
  const [, , , , saeId = '', last, ...tail] = path.split('/')
  const { socket } = incoming
  const certificate = socket instanceof TLSSocket ? socket.getPeerX509Certificate() : undefined
  return {
    call: CALLS.find(call => call === last),
    method: incoming.method ?? '',
    caller: /CN=(.*)/.exec(certificate?.subject ?? '')?.[1] ?? '',
    callerSerial: certificate?.serialNumber ?? '',
    saeId: decodeURIComponent(saeId),
    tail: tail.map(decodeURIComponent),
    query: url.searchParams,
    body: parsed(text),
    text,
    contentType: incoming.headers['content-type'],
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function send(response: ServerResponse, { status = 200, headers = {}, body = '' }: ZooReply): void {
  const text = typeof body === 'string' ? body : JSON.stringify(body)
  const type = typeof body === 'string' ? {} : { 'content-type': 'application/json' }
  response.writeHead(status, { ...type, ...headers }).end(text)
}
