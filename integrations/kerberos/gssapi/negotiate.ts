import type { IncomingMessage, ServerResponse } from 'node:http'
import { debugLogger, type Logger, QkdError } from '../../../lib/index.ts'
import type { AcceptedClient, GssAcceptor } from './gss-acceptor.ts'

const SCHEME = /^Negotiate ([A-Za-z0-9+/]+={0,2})$/i

/** Options of `createNegotiate`. */
export interface NegotiateOptions {
  /** Default: silent unless NODE_DEBUG=qkd:kerberos asks for it. */
  readonly logger?: Logger
}

/**
 * Who sent a request; undefined where that did not show: then the response was ended with 401, and there is nothing left
 * to do. Otherwise the response is the caller's, with the header set that proves the server to the client.
 */
export type Negotiate = (request: IncomingMessage, response: ServerResponse) => Promise<AcceptedClient | undefined>

/**
 * HTTP authentication by the `Negotiate` scheme (RFC 4559) for a node:http server. Each request is authenticated by itself.
 * Without TLS below, whoever is on the way can read and change what follows.
 */
export function createNegotiate(
  acceptor: GssAcceptor,
  { logger = debugLogger('kerberos') }: NegotiateOptions = {},
): Negotiate {
  return async (request, response) => {
    const [, token] = SCHEME.exec(request.headers.authorization ?? '') ?? []
    try {
      if (token === undefined) return refuse(response)
      const accepted = await acceptor.accept(Buffer.from(token, 'base64'))
      if (accepted.reply !== undefined) {
        response.setHeader('WWW-Authenticate', `Negotiate ${accepted.reply.toString('base64')}`)
      }
      return accepted
    } catch (error) {
      if (!(error instanceof QkdError)) throw error
      logger.warn({ reason: error.message }, 'refused a client')
      return refuse(response)
    }
  }
}

function refuse(response: ServerResponse): undefined {
  response.writeHead(401, { 'WWW-Authenticate': 'Negotiate' }).end()
}
