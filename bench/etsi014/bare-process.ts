/** What everything is held against: node:https with mutual TLS as the sites have it, that answers the same bytes at once. */
import { once } from 'node:events'
import { createServer, type Server } from 'node:https'
import type { AddressInfo } from 'node:net'
import { mutualTlsOptions, type TlsCredentials } from '../../lib/util/tls-credentials.ts'
import { answer } from '../tls/bench-process.ts'

/** The certificate, at the start; or what to answer from now on. */
export type BareMessage = { readonly credentials: TlsCredentials } | { readonly body: string }

let server: Server | undefined
let body = Buffer.alloc(0)

async function listen(credentials: TlsCredentials): Promise<{ port: number }> {
  const tls = mutualTlsOptions(credentials, { minVersion: 'TLSv1.2', server: true })
  server = createServer({ ...tls, requestCert: true, rejectUnauthorized: true, noDelay: true }, (request, response) => {
    const reply = () => {
      const headers = { 'content-type': 'application/json', 'cache-control': 'no-store' }
      response.writeHead(200, { ...headers, 'content-length': body.byteLength })
      response.end(body)
    }
    if (request.method === 'GET') reply()
    else request.on('end', reply).resume()
  })
  server.keepAliveTimeout = 65_000
  server.listen({ port: 0, host: '127.0.0.1', backlog: 1024 })
  await once(server, 'listening')
  return { port: (server.address() as AddressInfo).port }
}

answer(
  async (message: BareMessage) => {
    if ('credentials' in message) return listen(message.credentials)
    body = Buffer.from(message.body, 'latin1')
    return {}
  },
  async () => {
    server?.close()
    server?.closeAllConnections()
  },
)
