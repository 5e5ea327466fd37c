import {
  type AbortOptions,
  type Closable,
  ClosedError,
  InvalidArgumentError,
  UnauthorizedError,
} from '../../../lib/index.ts'
import type { KvnoEntry } from '../kvno-table.ts'
import { formatPrincipal, parsePrincipal } from '../principal.ts'
import { AcceptorKeytab } from './acceptor-keytab.ts'
import { readInitialToken } from './initial-token.ts'
import { type KerberosPackage, loadKerberosPackage } from './kerberos-package.ts'

/** Options of `createGssAcceptor`. */
export interface GssAcceptorOptions {
  /** The services that clients may come to, as `HTTP/www.example@A.EXAMPLE`; at least one. */
  readonly services: readonly string[]
  /**
   * The key version of a service that a ticket names: `table.resolve` of this host's agent, or whatever asks this host's own
   * KMS. Undefined for one that nobody announced.
   */
  readonly resolve: (
    principal: string,
    kvno: number,
    options: AbortOptions,
  ) => KvnoEntry | undefined | Promise<KvnoEntry | undefined>
  /**
   * Path of a keytab of the acceptor's own, written anew and removed by `close()`; on a tmpfs, such as below `/run`, keys
   * never come to a disk. GSS-API reads it by name, so the program must set `environment` before it accepts.
   */
  readonly keytabPath: string
  /** The npm package `kerberos`. Default: loaded from where this package is installed. */
  readonly kerberos?: KerberosPackage
  /** Default the system's clock. */
  readonly now?: () => number
}

/** A client whose token was accepted. */
export interface AcceptedClient {
  /** Who it is, as `alice@A.EXAMPLE`. */
  readonly client: string
  /** Which service it came to. */
  readonly service: string
  /** The key version that its ticket stands on. */
  readonly kvno: number
  /** What proves this end to the client; to be sent to it. Undefined where it did not ask for that. */
  readonly reply: Buffer | undefined
}

/** Accepts GSS-API contexts under keys of the KMS. */
export interface GssAcceptor extends Closable {
  /** To be put into `process.env` by the program, before the first `accept`: for GSS-API there is one keytab to a process. */
  readonly environment: { readonly KRB5_KTNAME: string }
  /**
   * Accepts the first token of a client, and with it the client: Kerberos takes one.
   * @throws {ProtocolError} it is no token of Kerberos
   * @throws {UnauthorizedError} the ticket is for another service, under a kvno that nobody announced, altered, expired or
   * shown before; the message says which
   */
  accept(token: Uint8Array, options?: AbortOptions): Promise<AcceptedClient>
}

/**
 * An acceptor that finds the key of each ticket by the kvno in it.
 * @throws {InvalidArgumentError} a service is no principal
 * @throws {MissingDependencyError} the npm package `kerberos` is not installed
 */
export async function createGssAcceptor(options: GssAcceptorOptions): Promise<GssAcceptor> {
  if (options.services.length === 0) throw new InvalidArgumentError('services must name at least one')
  for (const service of options.services) parsePrincipal(service)
  return new KeytabGssAcceptor(options, options.kerberos ?? (await loadKerberosPackage()))
}

class KeytabGssAcceptor implements GssAcceptor {
  readonly environment: { readonly KRB5_KTNAME: string }
  readonly #options: GssAcceptorOptions
  readonly #kerberos: KerberosPackage
  readonly #services: ReadonlySet<string>
  readonly #keytab: AcceptorKeytab
  readonly #accepting = new Set<Promise<unknown>>()
  #closing: Promise<void> | undefined

  constructor(options: GssAcceptorOptions, kerberos: KerberosPackage) {
    const { keytabPath, services, now = Date.now } = options
    this.#options = options
    this.#kerberos = kerberos
    this.#services = new Set(services)
    this.#keytab = new AcceptorKeytab(keytabPath, { now })
    this.environment = { KRB5_KTNAME: `FILE:${keytabPath}` }
  }

  async accept(token: Uint8Array, options: AbortOptions = {}): Promise<AcceptedClient> {
    if (this.#closing !== undefined) throw new ClosedError()
    options.signal?.throwIfAborted()
    const accepting = this.#accept(token, options)
    const settled = accepting.catch(() => {}).finally(() => this.#accepting.delete(settled))
    this.#accepting.add(settled)
    return await accepting
  }

  close(): Promise<void> {
    this.#closing ??= Promise.all(this.#accepting).then(() => this.#keytab.remove())
    return this.#closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #accept(token: Uint8Array, options: AbortOptions): Promise<AcceptedClient> {
    const { ticket } = readInitialToken(token)
    const service = formatPrincipal(ticket.server)
    const kvno = ticket.encrypted.kvno ?? 0
    if (!this.#services.has(service)) throw new UnauthorizedError(`A ticket for ${service} is not accepted here`)
    const version = await this.#options.resolve(service, kvno, options)
    if (version === undefined) {
      throw new UnauthorizedError(`kvno ${kvno} of ${service} was never announced to this host, or its time is over`)
    }
    await this.#keytab.admit(version)
    return { service, kvno, ...(await this.#step(token, service)) }
  }

  async #step(token: Uint8Array, service: string): Promise<{ client: string; reply: Buffer | undefined }> {
    try {
      // Without a name: the keytab holds none but ours, and a name would be looked up in the DNS.
      const server = await this.#kerberos.initializeServer('')
      const reply = await server.step(Buffer.from(token).toString('base64'))
      if (!server.contextComplete) throw new Error('the client asked for another round, which Kerberos has none of')
      return { client: server.username, reply: reply ? Buffer.from(reply, 'base64') : undefined }
    } catch (cause) {
      const why = (cause as Error).message
      throw new UnauthorizedError(
        `A ticket for ${service} is refused: ${why} (KRB5_KTNAME must be ${this.environment.KRB5_KTNAME})`,
        { cause },
      )
    }
  }
}
