import { Agent } from 'node:https'
import { connect as connectPlain, isIP } from 'node:net'
import type { Duplex } from 'node:stream'
import { setImmediate as turn } from 'node:timers/promises'
import { connect, type SecureContext, TLSSocket } from 'node:tls'
import type { CertificateIdentity } from '../interface/http.ts'
import { certificateIdentity } from '../util/certificate-identity.ts'
import { negotiatedGroup } from '../util/tls-groups.ts'

/** How connections to one KME are made and kept. */
export interface KmeConnectionOptions {
  readonly host: string
  readonly port: number
  /** Name that the certificate must carry; default `host`. */
  readonly servername: string | undefined
  readonly secureContext: SecureContext
  /** Without TLS, and so without a look at who answers. */
  readonly plain: boolean
  readonly connectTimeoutMs: number
  readonly idleTimeoutMs: number
  readonly maxConnections: number
  /** Throws unless this is the KME that is meant. */
  readonly checkPeer: (identity: CertificateIdentity) => void
}

/**
 * Keep-alive connections to one KME. A request gets a connection only when its handshake is done and the KME's
 * certificate was looked at, so what fails before has surely sent nothing.
 */
export class KmeAgent extends Agent {
  readonly #options: KmeConnectionOptions
  /** Key exchange group of the newest connection; undefined before the first. */
  group: string | undefined

  constructor(options: KmeConnectionOptions) {
    const { idleTimeoutMs, maxConnections } = options
    super({ keepAlive: true, timeout: idleTimeoutMs, maxFreeSockets: maxConnections, scheduling: 'lifo' })
    this.#options = options
  }

  /**
   * Lets connections that the other end has closed be found out before one of them is given a request: an end that lies in
   * the kernel is only seen when the event loop comes round. What is closed later than that can't be known.
   */
  async settled(): Promise<void> {
    if (Object.keys(this.freeSockets).length === 0) return
    // What is ready in this round of the loop, and what became ready since it began.
    await turn()
    await turn()
  }

  /** All connections are alike; node's own name would join key and certificates anew for each request. */
  override getName(): string {
    return 'kme'
  }

  /** Called by node for each new connection; node waits for `done` where nothing is returned. */
  override createConnection(_: unknown, done?: (error: Error | null, socket: Duplex) => void): undefined {
    const { host, port, plain, connectTimeoutMs, checkPeer } = this.#options
    const socket = plain ? connectPlain({ host, port }) : this.#connectTls()
    socket.setNoDelay(true)
    const settle = (error: Error | null) => {
      clearTimeout(timer)
      socket.off('error', settle)
      socket.off('close', onClose)
      if (error !== null) socket.once('error', () => {}).destroy()
      done?.(error, socket)
    }
    const onClose = () => settle(new Error('The connection was closed during the handshake'))
    const timer = setTimeout(() => settle(new Error(`No connection within ${connectTimeoutMs} ms`)), connectTimeoutMs)
    socket.once('error', settle)
    socket.once('close', onClose)
    socket.once(plain ? 'connect' : 'secureConnect', () => {
      try {
        if (!(socket instanceof TLSSocket)) {
          settle(null)
          return
        }
        const certificate = socket.getPeerX509Certificate()
        if (certificate === undefined) throw new Error('The KME showed no certificate')
        checkPeer(certificateIdentity(certificate))
        this.group = negotiatedGroup(socket)
        settle(null)
      } catch (error) {
        settle(error as Error)
      }
    })
  }

  #connectTls(): TLSSocket {
    const { host, port, servername, secureContext } = this.#options
    const name = servername ?? (isIP(host) === 0 ? host : undefined)
    return connect({ host, port, servername: name, secureContext, ALPNProtocols: ['http/1.1'] })
  }
}
