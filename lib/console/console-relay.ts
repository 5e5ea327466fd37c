import {
  createServer,
  type IncomingMessage,
  request as plainRequest,
  type Server,
  type ServerResponse,
} from 'node:http'
import { request as tlsRequest } from 'node:https'
import { InvalidArgumentError, KmeUnreachableError, UnauthorizedError } from '../errors.ts'
import type { Closable } from '../interface/lifecycle.ts'
import { isLoopback } from '../util/ip-address.ts'
import { type ListenAddress, listenOn } from '../util/listen.ts'
import { mutualTlsOptions, type TlsCredentials } from '../util/tls-credentials.ts'
import { hostRefusal, originRefusal, pageHeaders, type Refusal } from './request-rules.ts'

/** Options of `openConsoleRelay`. */
export interface ConsoleRelayOptions {
  /** The console of a running site or controller. */
  readonly to: ListenAddress
  /** Who asks; its name must be among the console's viewers. Without it plain HTTP, on this machine alone. */
  readonly tls?: TlsCredentials | undefined
  /** Where browsers of this machine find it: a loopback address. */
  readonly at: ListenAddress
  /** How long the console may take to answer, in milliseconds. Default 10,000. */
  readonly timeoutMs?: number
}

/** A console elsewhere, on this machine. */
export interface ConsoleRelay extends Closable {
  readonly url: string
}

/**
 * Brings the console of a site to a browser of this machine that has no certificate of its own: each request is passed on under the
 * certificate given here, and the page and its events come from the site itself. Resolves once the console has answered.
 * @throws {KmeUnreachableError} nothing answers there in time
 * @throws {UnauthorizedError} the console does not take the certificate
 */
export async function openConsoleRelay(options: ConsoleRelayOptions): Promise<ConsoleRelay> {
  const { at, to, tls } = options
  for (const host of [at.host, ...(tls === undefined ? [to.host] : [])]) {
    if (isLoopback(host)) continue
    const what = host === at.host ? 'listen on a loopback address' : 'have a certificate for an address elsewhere'
    throw new InvalidArgumentError(`The console would be open to the network at "${host}": ${what}`)
  }
  const way = wayTo(options)
  await probe(way, options)
  const server = createServer({ requestTimeout: 5_000, headersTimeout: 5_000, maxHeaderSize: 8 * 1024 })
  server.maxConnections = 64
  server.on('request', (request, response) => passOn(way, request, response))
  const { host, port } = await listenOn(server, at)
  const close = () => closed(server)
  return { url: `http://${host.includes(':') ? `[${host}]` : host}:${port}/`, close, [Symbol.asyncDispose]: close }
}

type Way = (path: string, headers?: Record<string, string>) => ReturnType<typeof plainRequest>

function wayTo({ to, tls }: ConsoleRelayOptions): Way {
  if (tls === undefined) return (path, headers = {}) => plainRequest({ ...to, path, headers })
  const options = mutualTlsOptions(tls, { minVersion: 'TLSv1.2', server: false })
  return (path, headers = {}) => tlsRequest({ ...options, ...to, path, headers })
}

async function probe(way: Way, { to, timeoutMs = 10_000 }: ConsoleRelayOptions): Promise<void> {
  const where = `${to.host}:${to.port}`
  const { status, text } = await new Promise<{ status: number; text: string }>((resolve, reject) => {
    const asked = way('/icon.svg')
    asked.setTimeout(timeoutMs, () => asked.destroy(new Error(`no answer in ${timeoutMs} ms`)))
    asked.once('error', cause => {
      reject(new KmeUnreachableError(`No console answers at ${where}: ${cause.message}`, { cause }))
    })
    asked.once('response', response => {
      let text = ''
      response.setEncoding('utf8').on('data', (chunk: string) => {
        text = (text + chunk).slice(0, 500)
      })
      response.once('end', () => resolve({ status: response.statusCode ?? 0, text: text.trim() }))
    })
    asked.end()
  })
  if (status === 403) throw new UnauthorizedError(`The console at ${where} refuses: ${text}`)
  if (status !== 200)
    throw new KmeUnreachableError(`No console answers at ${where}, but something with ${status}: ${text}`)
}

function passOn(way: Way, request: IncomingMessage, response: ServerResponse): void {
  request.resume()
  const target = request.url ?? ''
  const refusal = refusalOf(request, target)
  if (refusal !== undefined) {
    response.writeHead(refusal.status, { ...pageHeaders, 'content-type': 'text/plain' }).end(`${refusal.text}\n`)
    return
  }
  const encodings = request.headers['accept-encoding']
  const asked = way(target, typeof encodings === 'string' ? { 'accept-encoding': encodings } : {})
  asked.once('error', () => {
    // The page sees its stream end, says so, and comes again.
    if (response.headersSent) response.destroy()
    else response.writeHead(502, { ...pageHeaders, 'content-type': 'text/plain' }).end('The console does not answer\n')
  })
  asked.once('response', answer => {
    const { connection: _, 'transfer-encoding': __, 'keep-alive': ___, ...headers } = answer.headers
    response.writeHead(answer.statusCode ?? 502, headers)
    answer.pipe(response)
    answer.once('error', () => response.destroy())
  })
  response.once('close', () => asked.destroy())
  asked.end()
}

function refusalOf({ method, headers }: IncomingMessage, target: string): Refusal | undefined {
  if (method !== 'GET') return { status: 405, text: 'GET only' }
  if (!target.startsWith('/')) return { status: 400, text: 'The request target must begin with /' }
  return hostRefusal(headers, undefined) ?? originRefusal(headers, target.split('?')[0]!)
}

async function closed(server: Server): Promise<void> {
  await new Promise<void>(resolve => {
    server.close(() => resolve())
    server.closeAllConnections()
  })
}
