/**
 * The closed list of error codes. `switch (err.code)` narrows on it; there are no user-defined codes.
 * Dispatch on `code`, never on the message or with `instanceof`.
 */
export type QkdErrorCode =
  | 'ERR_QKD_INVALID_ARGUMENT'
  | 'ERR_QKD_CONFIG'
  | 'ERR_QKD_UNAUTHORIZED'
  | 'ERR_QKD_KEY_NOT_FOUND'
  | 'ERR_QKD_POOL_EXHAUSTED'
  | 'ERR_QKD_POLICY_DENIED'
  | 'ERR_QKD_NO_ROUTE'
  | 'ERR_QKD_LINK_DOWN'
  | 'ERR_QKD_POOL_DESYNC'
  | 'ERR_QKD_STORE'
  | 'ERR_QKD_KME_RESPONSE'
  | 'ERR_QKD_KME_UNREACHABLE'
  | 'ERR_QKD_PROTOCOL'
  | 'ERR_QKD_CLOSED'
  | 'ERR_QKD_PSK_HANDSHAKE'
  | 'ERR_QKD_VICI'
  | 'ERR_QKD_MISSING_DEPENDENCY'

/** What an error carries besides its message: names and numbers, never key bytes. */
export interface QkdErrorOptions extends ErrorOptions {
  /** Name/value pairs for the caller, in ETSI GS QKD 014's `details` shape. */
  details?: Record<string, unknown>[]
  /** When a retry makes sense, in milliseconds from now. */
  retryAfterMs?: number
}

/** Base of every error that the toolkit throws on purpose. Sentence-case message, no final stop. */
export class QkdError extends Error {
  readonly code: QkdErrorCode
  readonly details: Record<string, unknown>[]
  readonly retryAfterMs: number | undefined

  constructor(code: QkdErrorCode, message: string, options: QkdErrorOptions = {}) {
    super(message, options)
    this.name = new.target.name
    this.code = code
    this.details = options.details ?? []
    this.retryAfterMs = options.retryAfterMs
  }
}

/** Thrown before any I/O when an argument cannot be right; the message names it. HTTP 400, do not retry. */
export class InvalidArgumentError extends QkdError {
  constructor(message: string, options?: QkdErrorOptions) {
    super('ERR_QKD_INVALID_ARGUMENT', message, options)
  }
}

/** Thrown when a configuration file is wrong; the message lists each path and the fix. */
export class ConfigError extends QkdError {
  constructor(message: string, options?: QkdErrorOptions) {
    super('ERR_QKD_CONFIG', message, options)
  }
}

/** Thrown when the authenticated caller may not have what it asked for. HTTP 401, do not retry. */
export class UnauthorizedError extends QkdError {
  constructor(message: string, options?: QkdErrorOptions) {
    super('ERR_QKD_UNAUTHORIZED', message, options)
  }
}

/** Thrown when a key_ID is unknown, expired or was already delivered: the three look alike on purpose. HTTP 400. */
export class KeyNotFoundError extends QkdError {
  constructor(message = 'One or more keys specified are not found on KME', options?: QkdErrorOptions) {
    super('ERR_QKD_KEY_NOT_FOUND', message, options)
  }
}

/** Thrown when the pool cannot serve the request now. HTTP 503, retry later. */
export class PoolExhaustedError extends QkdError {
  constructor(message: string, options?: QkdErrorOptions) {
    super('ERR_QKD_POOL_EXHAUSTED', message, options)
  }
}

/** Thrown when the policy of this or the other site refuses the request. HTTP 400. */
export class PolicyError extends QkdError {
  constructor(message: string, options?: QkdErrorOptions) {
    super('ERR_QKD_POLICY_DENIED', message, options)
  }
}

/** Thrown when no path of links joins the two sites. HTTP 503, retry later. */
export class NoRouteError extends QkdError {
  constructor(message: string, options?: QkdErrorOptions) {
    super('ERR_QKD_NO_ROUTE', message, options)
  }
}

/** Thrown when the link under a request is down. HTTP 503, retry later. */
export class LinkDownError extends QkdError {
  constructor(message: string, options?: QkdErrorOptions) {
    super('ERR_QKD_LINK_DOWN', message, options)
  }
}

/** Thrown while a pool must first agree with its other side again. HTTP 503, retry after the resync. */
export class PoolDesyncError extends QkdError {
  constructor(message: string, options?: QkdErrorOptions) {
    super('ERR_QKD_POOL_DESYNC', message, options)
  }
}

/** Thrown when the store cannot be read or written; nothing was delivered. HTTP 503. */
export class StoreError extends QkdError {
  constructor(message: string, options?: QkdErrorOptions) {
    super('ERR_QKD_STORE', message, options)
  }
}

/** Thrown by a client when a KME's answer is unreadable or not what the standard allows. The caller decides. */
export class KmeResponseError extends QkdError {
  constructor(message: string, options?: QkdErrorOptions) {
    super('ERR_QKD_KME_RESPONSE', message, options)
  }
}

/** Thrown by a client when the KME could not be reached or its identity is not the expected one; nothing was consumed. */
export class KmeUnreachableError extends QkdError {
  constructor(message: string, options?: QkdErrorOptions) {
    super('ERR_QKD_KME_UNREACHABLE', message, options)
  }
}

/** Thrown when a peer sent a message that its protocol does not allow. */
export class ProtocolError extends QkdError {
  constructor(message: string, options?: QkdErrorOptions) {
    super('ERR_QKD_PROTOCOL', message, options)
  }
}

/** Thrown when a closed object is used. */
export class ClosedError extends QkdError {
  constructor(message = 'Already closed', options?: QkdErrorOptions) {
    super('ERR_QKD_CLOSED', message, options)
  }
}

/** Thrown when a TLS handshake did not end in a session under the pre-shared key. Retry with a new key. */
export class PskHandshakeError extends QkdError {
  constructor(message: string, options?: QkdErrorOptions) {
    super('ERR_QKD_PSK_HANDSHAKE', message, options)
  }
}

/** Thrown when strongSwan's charon can't be reached over VICI or refuses a command; the message says what charon said. */
export class ViciError extends QkdError {
  constructor(message: string, options?: QkdErrorOptions) {
    super('ERR_QKD_VICI', message, options)
  }
}

/** Thrown when an optional package that the call needs is not installed; the message names it. */
export class MissingDependencyError extends QkdError {
  constructor(message: string, options?: QkdErrorOptions) {
    super('ERR_QKD_MISSING_DEPENDENCY', message, options)
  }
}

/** The class for each code, so that a remote backend throws what the embedded one does. */
const classes: Record<QkdErrorCode, new (message: string, options?: QkdErrorOptions) => QkdError> = {
  ERR_QKD_INVALID_ARGUMENT: InvalidArgumentError,
  ERR_QKD_CONFIG: ConfigError,
  ERR_QKD_UNAUTHORIZED: UnauthorizedError,
  ERR_QKD_KEY_NOT_FOUND: KeyNotFoundError,
  ERR_QKD_POOL_EXHAUSTED: PoolExhaustedError,
  ERR_QKD_POLICY_DENIED: PolicyError,
  ERR_QKD_NO_ROUTE: NoRouteError,
  ERR_QKD_LINK_DOWN: LinkDownError,
  ERR_QKD_POOL_DESYNC: PoolDesyncError,
  ERR_QKD_STORE: StoreError,
  ERR_QKD_KME_RESPONSE: KmeResponseError,
  ERR_QKD_KME_UNREACHABLE: KmeUnreachableError,
  ERR_QKD_PROTOCOL: ProtocolError,
  ERR_QKD_CLOSED: ClosedError,
  ERR_QKD_PSK_HANDSHAKE: PskHandshakeError,
  ERR_QKD_VICI: ViciError,
  ERR_QKD_MISSING_DEPENDENCY: MissingDependencyError,
}

/** True for a string that names one of our codes (as read from the wire). */
export function isQkdErrorCode(value: unknown): value is QkdErrorCode {
  return typeof value === 'string' && Object.hasOwn(classes, value)
}

/** The error of that code's own class. */
export function createQkdError(code: QkdErrorCode, message: string, options?: QkdErrorOptions): QkdError {
  return new classes[code](message, options)
}
