import { type ClientHttp2Session, type ClientSessionOptions, connect as connectSession } from 'node:http2'
import { connect as connectTcp, isIP } from 'node:net'
import {
  type AbortOptions,
  InvalidArgumentError,
  type Kms,
  PskHandshakeError,
  requireInteger,
} from '../../lib/index.ts'
import { FORCED } from './connect.ts'
import { forbidOptions } from './options.ts'
import { SessionOpener, type SessionOpenerOptions } from './session-opener.ts'

/** Options of `connectHttp2`: those of `http2.connect` that are of HTTP/2 itself, and what the key needs. */
export interface ConnectHttp2Options
  extends AbortOptions,
    Omit<SessionOpenerOptions, 'prefetch' | 'peerSaeId'>,
    Omit<ClientSessionOptions, 'createConnection' | 'protocol'> {
  /** The SAE that the server is. */
  readonly peerSaeId: string
  /** Name of the server for its SNI. Default the host of `authority`, where that is a name. */
  readonly servername?: string
  /**
   * How long the session may take new requests, in milliseconds, 1 to 86400000: then it ends, once those under way are
   * answered, and the next `connectHttp2` makes one under a new key. Default without end.
   */
  readonly maxConnectionAgeMs?: number
}

/**
 * An HTTP/2 session with the server at `authority` under a fresh key of its own; `qkdInfo(session.socket)` says which.
 * Resolves when the TLS session is proven.
 * @throws {InvalidArgumentError} an option is wrong, or the authority is not an https URL; nothing was consumed
 * @throws {PskHandshakeError} the server refused the key, or speaks no HTTP/2; the key is spent
 */
export async function connectHttp2(
  kms: Kms,
  authority: string | URL,
  options: ConnectHttp2Options,
): Promise<ClientHttp2Session> {
  const { peerSaeId, binding, level, requireGroup, minVersion, tls12Suites, timeoutMs, ...others } = options
  const { servername, maxConnectionAgeMs, signal, ...session } = others
  const opener = new SessionOpener(kms, {
    peerSaeId,
    binding,
    level,
    requireGroup,
    minVersion,
    tls12Suites,
    timeoutMs,
  })
  forbidOptions(session, FORCED, 'the pre-shared key needs its own value')
  if (maxConnectionAgeMs !== undefined) {
    requireInteger('maxConnectionAgeMs', maxConnectionAgeMs, { min: 1, max: 86_400_000 })
  }
  signal?.throwIfAborted()
  const url = new URL(authority)
  if (url.protocol !== 'https:') throw new InvalidArgumentError(`authority must be an https URL, not ${url.protocol}`)
  const host = url.hostname.replace(/^\[(.*)\]$/, '$1')
  const raw = connectTcp({ host, port: Number(url.port || 443), noDelay: true })
  const offer = { servername: servername ?? nameOf(host), ALPNProtocols: ['h2'] }
  const socket = await opener.open(raw, { peerSaeId, signal, ...offer })
  if (socket.alpnProtocol !== 'h2') {
    socket.destroy()
    throw new PskHandshakeError(`${peerSaeId} speaks no HTTP/2 at ${url.host}`)
  }
  const client = connectSession(url, { ...session, createConnection: () => socket })
  if (maxConnectionAgeMs !== undefined) {
    const timer = setTimeout(() => client.close(), maxConnectionAgeMs).unref()
    client.once('close', () => clearTimeout(timer))
  }
  return client
}

/** A host's name for its SNI, which no address may stand in. */
function nameOf(host: string): string | undefined {
  return isIP(host) === 0 ? host : undefined
}
