import type { Duplex } from 'node:stream'
import { PskHandshakeError } from '../../lib/index.ts'

/** How long a peer that was refused may take to read its alert before the socket is destroyed, in milliseconds. */
const LINGER_MS = 1000
const ALERT_RECORD = 21
const FATAL = 2

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
  // OpenSSL has sent one of its own.
  handshake: undefined,
} as const satisfies Record<string, number | undefined>

/** Every reason, as the documentation lists them. */
export const REFUSAL_REASONS = Object.keys(ALERTS) as readonly RefusalReason[]

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

/** Whether it is about an identity or its key, of which the peer must not learn more than that it came to nothing. */
export function concernsKey({ alert }: HandshakeRefusal): boolean {
  return alert === ALERTS.binder
}

/** Anything else that can go wrong is this side's fault and must not look like the peer's. */
export function toRefusal(error: unknown): HandshakeRefusal {
  return error instanceof HandshakeRefusal
    ? error
    : new HandshakeRefusal('kms', 'The connection could not be decided on', { cause: error })
}

/** Closes a socket with the refusal's alert, if it has one; nothing may be encrypted yet. */
export function sendRefusal(raw: Duplex, { alert }: HandshakeRefusal): void {
  if (raw.destroyed) return
  if (alert === undefined) {
    raw.destroy()
    return
  }
  const linger = setTimeout(() => raw.destroy(), LINGER_MS).unref()
  raw.on('close', () => clearTimeout(linger))
  raw.end(Uint8Array.of(ALERT_RECORD, 3, 3, 0, 2, FATAL, alert))
  // What the peer still sends is read and dropped: closing over unread bytes resets the connection, and the alert is lost.
  raw.resume()
}
