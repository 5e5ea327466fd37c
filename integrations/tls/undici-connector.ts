import { connect as connectTcp, type Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'
import { InvalidArgumentError, type Kms } from '../../lib/index.ts'
import { SessionOpener, type SessionOpenerOptions } from './session-opener.ts'

/** Options of `createUndiciConnector`. */
export interface UndiciConnectorOptions extends SessionOpenerOptions {
  /** Offers HTTP/2 besides HTTP/1.1; undici itself has to be told by an option of the same name. Default false. */
  readonly allowH2?: boolean
}

/** What undici tells a connector about a connection that it needs. */
export interface UndiciConnectTarget {
  readonly hostname: string
  readonly protocol: string
  /** Empty for the protocol's own. */
  readonly port: string
  readonly servername?: string | null | undefined
  readonly localAddress?: string | null | undefined
  /** A connection through a proxy, on which TLS is to begin. */
  readonly httpSocket?: Socket | undefined
}

/** The function that undici's dispatchers take as `connect`. */
export interface UndiciConnector {
  (target: UndiciConnectTarget, callback: (...outcome: [null, TLSSocket] | [Error, null]) => void): void
  /** Wipes keys that were drawn ahead; connections belong to the dispatcher. */
  clear(): void
}

/**
 * The `connect` of an undici `Agent`, `Pool` or `Client`: each connection that the dispatcher makes stands on a fresh key
 * of its own, and where none comes about, its requests fail with what `connect` throws as their cause. The dispatcher keeps
 * its connections apart by origin; give each Kms and each set of options a dispatcher of its own. undici's `connections`
 * bounds how many it makes for an origin, and so the keys; `clientTtl` is the age at which it replaces them.
 * @throws {InvalidArgumentError} an option is wrong
 */
export function createUndiciConnector(kms: Kms, options: UndiciConnectorOptions): UndiciConnector {
  const { allowH2 = false, ...rest } = options
  const opener = new SessionOpener(kms, rest)
  const ALPNProtocols = allowH2 ? ['h2', 'http/1.1'] : ['http/1.1']

  async function open(target: UndiciConnectTarget): Promise<TLSSocket> {
    const { protocol, hostname, servername, localAddress, httpSocket } = target
    if (protocol !== 'https:') throw new InvalidArgumentError(`The URL's protocol must be https:, not ${protocol}`)
    const port = Number(target.port || 443)
    const raw =
      httpSocket ?? connectTcp({ host: hostname, port, localAddress: localAddress ?? undefined, noDelay: true })
    const offer = { servername: servername ?? undefined, ALPNProtocols }
    return await opener.open(raw, { peerSaeId: opener.peerOf({ hostname, port }), ...offer })
  }

  const connector: UndiciConnector = (target, callback) => {
    open(target).then(
      socket => callback(null, socket),
      (error: Error) => callback(error, null),
    )
  }
  connector.clear = () => opener.clear()
  return connector
}
