import { Agent, type AgentOptions } from 'node:https'
import { connect as connectTcp, type NetConnectOpts, Socket, type TcpSocketConnectOpts } from 'node:net'
import type { Duplex } from 'node:stream'
import type { ConnectionOptions, TLSSocket } from 'node:tls'
import { type Kms, requireInteger } from '../../lib/index.ts'
import { FORCED } from './connect.ts'
import { forbidOptions } from './options.ts'
import { SessionOpener, type SessionOpenerOptions } from './session-opener.ts'

/** Of an agent as well: what would send its requests some other way. */
const FORBIDDEN = [...FORCED, 'minVersion', 'proxyEnv', 'socket', 'path'] as const
const WHY = 'the pre-shared key needs its own value'

/** Options of `QkdAgent`: those of `https.Agent` and what it needs to know about the keys. */
export interface QkdAgentOptions extends SessionOpenerOptions, Omit<AgentOptions, (typeof FORBIDDEN)[number]> {
  /** Default true, other than for `https.Agent`: a connection costs a key. */
  readonly keepAlive?: boolean
  /**
   * How long a connection may serve requests, in milliseconds, 1 to 86400000: then it is closed, once the request under
   * way is answered, and the next request gets a new connection under a new key. Default without end.
   */
  readonly maxConnectionAgeMs?: number
}

/** What Node hands an agent about a request: its own options with the agent's over them. */
interface RequestTerms
  extends Omit<TcpSocketConnectOpts, 'port'>,
    Pick<ConnectionOptions, 'servername' | 'ALPNProtocols'> {
  readonly port?: number | string
  readonly socketPath?: string
  readonly timeout?: number
  [peer: symbol]: string | undefined
}

/** The part of `http.Agent` that its types leave out, as it has been in every Node since 0.11. */
interface AgentBookkeeping {
  readonly sockets: Record<string, Duplex[] | undefined>
  readonly requests: Record<string, { readonly destroyed: boolean }[] | undefined>
  totalSocketCount: number
  removeSocket(socket: Duplex, terms: RequestTerms): void
}

type OnCreated = (error: Error | null, socket?: Duplex) => void

/**
 * An `https.Agent` whose every connection stands on a fresh key of its own. Connections are kept alive and used again, for
 * the same host, peer, binding, level, group and versions alone, and there is no other kind in its pool. Where no session comes about,
 * the request fails with what `connect` throws; nothing is tried a second time. Options of TLS that have no meaning under a
 * key (`ca`, `cert`, `rejectUnauthorized`, ...) are refused, those of a request as well.
 *
 * `destroy()` closes all connections and wipes keys drawn ahead.
 */
export class QkdAgent extends Agent {
  readonly #opener: SessionOpener
  readonly #maxAgeMs: number | undefined
  /** Where the answer of `peerOf` is kept, with the terms it was asked for. */
  readonly #peer = Symbol('peer')

  /** @throws {InvalidArgumentError} an option is wrong */
  constructor(kms: Kms, options: QkdAgentOptions) {
    const { peerSaeId, binding, level, requireGroup, minVersion, tls12Suites, timeoutMs, prefetch, ...others } = options
    const { maxConnectionAgeMs, ...rest } = others
    forbidOptions(rest, FORBIDDEN, WHY)
    super({ keepAlive: true, ...rest, maxCachedSessions: 0 })
    const terms = { peerSaeId, binding, level, requireGroup, minVersion, tls12Suites, timeoutMs, prefetch }
    this.#opener = new SessionOpener(kms, terms)
    if (maxConnectionAgeMs !== undefined) {
      requireInteger('maxConnectionAgeMs', maxConnectionAgeMs, { min: 1, max: 86_400_000 })
    }
    this.#maxAgeMs = maxConnectionAgeMs
  }

  /** As for every agent, and what the session stands on: requests with one name share connections. */
  override getName(options: object = {}): string {
    return `${super.getName(options)}:${this.#opener.nameOf(this.#peerOf(options as RequestTerms))}`
  }

  // Node calls this whenever it needs a connection. Answers by the callback, when the session is proven.
  override createConnection(options: object, onCreated: unknown): undefined {
    void this.#create(options as RequestTerms, onCreated as OnCreated)
  }

  override destroy(): void {
    super.destroy()
    this.#opener.clear()
  }

  async #create(terms: RequestTerms, onCreated: OnCreated): Promise<void> {
    let release = (): void => {}
    const session = await this.#open(terms, held => {
      release = held
    }).catch((error: Error) => error)
    if (session instanceof Error) {
      onCreated(session)
      // In the turn after the one in which the request hears of it.
      process.nextTick(() => this.#giveUp(terms, release))
    } else {
      release()
      onCreated(null, session)
    }
  }

  async #open(terms: RequestTerms, onHeld: (release: () => void) => void): Promise<TLSSocket> {
    forbidOptions(terms, [...FORCED, 'minVersion', 'tls12Suites'], WHY)
    const raw = connectTcp(tcpOptions(terms))
    onHeld(this.#hold(raw, terms))
    const { servername, ALPNProtocols = ['http/1.1'], timeout } = terms
    // Node gives an empty name where the host is an address.
    const offer = { servername: servername || undefined, ALPNProtocols }
    const socket = await this.#opener.open(raw, { peerSaeId: this.#peerOf(terms), ...offer })
    if (timeout !== undefined) socket.setTimeout(timeout)
    this.#limitAge(socket)
    return socket
  }

  /**
   * Counts a connection from its first moment, as Node does only for those that are made at once: `maxSockets` holds, and
   * `destroy()` reaches it. The result takes it off again.
   */
  #hold(raw: Socket, terms: RequestTerms): () => void {
    const books = this as unknown as AgentBookkeeping
    const name = this.getName(terms)
    books.sockets[name] ??= []
    books.sockets[name].push(raw)
    books.totalSocketCount += 1
    return () => {
      const held = books.sockets[name] ?? []
      held.splice(held.indexOf(raw), 1)
      if (held.length === 0) delete books.sockets[name]
      books.totalSocketCount -= 1
    }
  }

  /** No connection came about: requests that wait for one must not wait for ever. */
  #giveUp(terms: RequestTerms, release: () => void): void {
    const books = this as unknown as AgentBookkeeping
    release()
    const name = this.getName(terms)
    const waiting = books.requests[name] ?? []
    while (waiting[0]?.destroyed) waiting.shift()
    if (waiting.length === 0) delete books.requests[name]
    // Makes a connection for the next one; there is nothing to remove.
    books.removeSocket(new Socket().destroy(), terms)
  }

  #limitAge(socket: TLSSocket): void {
    if (this.#maxAgeMs === undefined) return
    let aged = false
    const timer = setTimeout(() => {
      aged = true
      const idle = Object.values(this.freeSockets).some(sockets => sockets?.includes(socket))
      if (idle) socket.destroy()
    }, this.#maxAgeMs).unref()
    socket.once('close', () => clearTimeout(timer))
    // Before the agent's own listener, which would hand it to the next request.
    socket.on('free', () => {
      if (aged) socket.destroy()
    })
  }

  #peerOf(terms: RequestTerms): string | undefined {
    // Node copies the terms of a request on its way, and this with them: a connection stays where it began, whatever the
    // function may answer later.
    if (!(this.#peer in terms)) {
      const { host = 'localhost', port = 443 } = terms
      terms[this.#peer] = this.#opener.peerOf({ hostname: host, port: Number(port) })
    }
    return terms[this.#peer]
  }
}

/** What of a request's terms concerns TCP. */
function tcpOptions(terms: RequestTerms): NetConnectOpts {
  const { host, port, socketPath: path, localAddress, localPort, family, hints, lookup, ...rest } = terms
  const { autoSelectFamily, autoSelectFamilyAttemptTimeout, keepAlive, keepAliveInitialDelay, noDelay } = rest
  return {
    ...(path ? { path } : { host, port, localAddress, localPort, family, hints, lookup }),
    ...{ autoSelectFamily, autoSelectFamilyAttemptTimeout, keepAlive, keepAliveInitialDelay, noDelay },
  } as NetConnectOpts
}
