import { PskHandshakeError } from '../../lib/index.ts'

/**
 * Why the gate turned a connection away, and the TLS alert (RFC 8446, section 6) that the peer sees; undefined where the
 * connection is closed without one. Whatever is wrong with an identity or its key looks alike from outside
 * (decrypt_error), so that nobody learns by trying which keys exist. internal_error is kept for what is no fault of the
 * peer's: the KMS can't be reached or is out of key, or too many look-ups are under way.
 */
const ALERTS = {
  'not-tls': 10,
  oversize: 22,
  malformed: 50,
  version: 70,
  'no-psk': 40,
  unsuitable: 40,
  identity: 51,
  'unknown-key': 51,
  'short-key': 51,
  binder: 51,
  'in-use': 51,
  kms: 80,
  overload: 80,
  silent: undefined,
  closed: undefined,
  downgrade: undefined,
} as const satisfies Record<string, number | undefined>

/** One word for the log and the metrics of this side; the peer never sees it. */
export type RefusalReason = keyof typeof ALERTS

/** A connection that the server turned away before the application saw it; the server's `tlsClientError` event has it. */
export class HandshakeRefusal extends PskHandshakeError {
  readonly reason: RefusalReason

  constructor(reason: RefusalReason, message: string, options?: ErrorOptions) {
    super(message, { ...options, details: [{ reason }] })
    this.reason = reason
  }

  /** Number of the alert that goes to the peer. */
  get alert(): number | undefined {
    return ALERTS[this.reason]
  }
}
