import { PskHandshakeError } from '../../lib/index.ts'
import { HandshakeRefusal } from './refusal.ts'

/** What a server means by the alerts that one meets (RFC 8446, section 6; RFC 4279, section 2). */
const BY_ALERT: Readonly<Record<number, FailureReason>> = {
  20: 'key-refused',
  40: 'nothing-in-common',
  47: 'key-refused',
  51: 'key-refused',
  70: 'version',
  71: 'nothing-in-common',
  80: 'server-failed',
  115: 'key-refused',
}

const WORDS: Readonly<Record<FailureReason, string>> = {
  'key-refused': 'it does not take the key',
  'nothing-in-common': 'the two ends have no suite or group in common',
  version: 'it does not speak a version of TLS that is allowed here',
  'server-failed': 'its KMS failed, or it is overloaded',
  certificate: 'it answers with a certificate in place of the key',
  'not-tls': 'what it speaks is no TLS',
  closed: 'it closed the connection',
  downgrade: 'the session would not stand on the key',
  'short-key': 'the KMS gave no fitting key',
  handshake: 'no session came about',
}

/** Why a client has no session, in one word to act upon. */
export type FailureReason =
  /** The server has not this key, has used it, binds it otherwise, or does not know us. Try anew, with a new key. */
  | 'key-refused'
  /** Its options and ours don't meet: suites, `requireGroup`, or it wants no key at all. */
  | 'nothing-in-common'
  /** It knows TLS 1.2 at most; see `minVersion`. */
  | 'version'
  /** Its KMS is out of reach or of key, or it has too much to do. Try later. */
  | 'server-failed'
  /** It is no server of ours, or its port is another. */
  | 'certificate'
  | 'not-tls'
  | 'closed'
  /** Somebody, or something, is wrong there: the session was closed before anything was sent. */
  | 'downgrade'
  /** Our own KMS gave a key that is too short. */
  | 'short-key'
  /** Anything else; `cause` has what OpenSSL says. */
  | 'handshake'

/** Options of `HandshakeFailure`. */
export interface HandshakeFailureOptions extends ErrorOptions {
  /** The number of the alert with which the server answered. */
  readonly alert?: number | undefined
  /** Behind the reason, in words. */
  readonly more?: string | undefined
}

/** No session came about at the client; the key is spent. What `connect`, and all that builds on it, rejects with. */
export class HandshakeFailure extends PskHandshakeError {
  readonly reason: FailureReason
  /** The number of the alert with which the server answered, if it did. */
  readonly alert: number | undefined

  constructor(peerSaeId: string, reason: FailureReason, { alert, more, cause }: HandshakeFailureOptions = {}) {
    const said = alert === undefined ? '' : ` (TLS alert ${alert})`
    super(
      `The TLS handshake with ${peerSaeId} failed: ${WORDS[reason]}${said}${more === undefined ? '' : `; ${more}`}`,
      {
        cause,
        details: alert === undefined ? [] : [{ alert }],
      },
    )
    this.reason = reason
    this.alert = alert
  }
}

/** `error` of a handshake in the words of `HandshakeFailure`. */
export function failureOf(
  error: unknown,
  { peerSaeId, requireGroup }: { readonly peerSaeId: string; readonly requireGroup?: string | undefined },
): HandshakeFailure {
  if (error instanceof HandshakeFailure) return error
  if (error instanceof HandshakeRefusal) {
    const reason = error.reason === 'closed' || error.reason === 'short-key' ? error.reason : 'downgrade'
    return new HandshakeFailure(peerSaeId, reason, { cause: error, more: error.message })
  }
  const { message = '', code = '' } = error as NodeJS.ErrnoException
  // Codes of OpenSSL's errors differ between versions of Node; the number of the alert does not.
  const number = /SSL alert number (\d+)/.exec(message)?.[1]
  const alert = number === undefined ? undefined : Number(number)
  const reason = alert === undefined ? reasonOf(code, message) : (BY_ALERT[alert] ?? 'handshake')
  const more =
    reason === 'nothing-in-common' && requireGroup !== undefined ? `it may not have ${requireGroup}` : undefined
  return new HandshakeFailure(peerSaeId, reason, { alert, cause: error, more })
}

function reasonOf(code: string, message: string): FailureReason {
  if (/CERT|SIGNED|VERIFY|ISSUER/.test(code) && !code.startsWith('ERR_SSL')) return 'certificate'
  if (/WRONG_VERSION_NUMBER|PACKET_LENGTH_TOO_LONG|HTTP_REQUEST|BAD_RECORD_TYPE|UNEXPECTED_MESSAGE/.test(code))
    return 'not-tls'
  if (/UNSUPPORTED_PROTOCOL/.test(code)) return 'version'
  if (code === 'ECONNRESET' || code === 'EPIPE' || /disconnected before/.test(message)) return 'closed'
  return 'handshake'
}
