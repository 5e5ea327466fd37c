import type { AbortOptions, Closable } from './lifecycle.ts'

/** What a verified client certificate says of its holder. */
export interface CertificateIdentity {
  readonly commonName: string | undefined
  readonly uriSans: readonly string[]
  readonly dnsSans: readonly string[]
  /** SHA-256 of the DER, lower-case hex without colons. */
  readonly fingerprint256: string
  /** Upper-case hex as the certificate prints it. */
  readonly serialNumber: string
}

/** A request as a handler sees it: plain data, no sockets. */
export interface HttpRequest {
  readonly method: string
  /** Path and query as sent, still percent-encoded, beginning with `/`. */
  readonly target: string
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>
  readonly body: Uint8Array
  /** The client certificate; undefined where none was shown or verified. */
  readonly identity: CertificateIdentity | undefined
  /** The caller's identity under whose pre-shared key the connection stands, where the server takes such; else undefined. */
  readonly pskIdentity?: string | undefined
  /** IP address of the caller's end of the connection; undefined where there is none, as in process. */
  readonly remoteAddress?: string | undefined
  /** Aborted when the caller has gone. */
  readonly signal: AbortSignal
}

/** What a handler answers, and what a client gets. */
export interface HttpResponse {
  readonly status: number
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>
  /** The binding wipes it once the socket has taken it when `secret` is set. */
  readonly body: Uint8Array
  /** True where the body holds key bytes. */
  readonly secret?: boolean
}

/** A server without a socket. Never rejects: every failure is a response. */
export type HttpHandler = (request: HttpRequest) => Promise<HttpResponse>

/** A request as a client makes it. */
export interface HttpClientRequest extends AbortOptions {
  readonly method: string
  /** Path and query, percent-encoded, beginning with `/`. */
  readonly target: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: Uint8Array
}

/** The client's way to one server: in process, or over mTLS. Never retries. */
export interface HttpTransport extends Closable {
  /**
   * @throws {KmeUnreachableError} no answer came; `details` has `{sent: boolean}`, false where the request surely never left
   */
  request(request: HttpClientRequest): Promise<HttpResponse>
}
