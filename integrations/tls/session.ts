import type { TLSSocket } from 'node:tls'
import type { SecurityLevel } from '../../lib/index.ts'
import { HandshakeRefusal } from './refusal.ts'
import type { Tls12Suite } from './suites.ts'

/** What a session stands on; the same at both ends, but for `group`. */
export interface QkdInfo {
  /** The SAE that began: the TLS client. */
  readonly masterSaeId: string
  /** The TLS server. */
  readonly slaveSaeId: string
  readonly keyId: string
  /** The level the KMS gave the key; undefined where a foreign KME does not say. */
  readonly level: SecurityLevel | undefined
  /**
   * Key exchange group that was mixed in, as OpenSSL names it. Node tells only the client; a server knows it where it
   * requires one, and has undefined otherwise.
   */
  readonly group: string | undefined
  readonly cipher: string
}

declare module 'node:tls' {
  interface TLSSocket {
    /** What the session stands on; undefined for one that is not under a key of the KMS. Set by `qkdkit/tls`. */
    readonly qkd?: QkdInfo
  }
}

/**
 * What the session of `socket` stands on: its property `qkd`, for sockets of any type, such as those of requests. A property
 * and no WeakMap: what http2 gives out as `session.socket` is a proxy, through which properties can be read.
 */
export function qkdInfo(socket: object): QkdInfo | undefined {
  return (socket as { qkd?: QkdInfo }).qkd
}

/** Attaches what `qkdInfo` gives, once and for good. */
export function setQkdInfo(socket: TLSSocket, value: QkdInfo): void {
  Object.defineProperty(socket, 'qkd', { value: Object.freeze(value) })
}

/**
 * Throws unless the finished handshake really stands on the pre-shared key. TLS 1.3 treats an external key as a
 * resumption, and a session under one never has a certificate.
 */
export function requirePskSession(socket: TLSSocket): void {
  const protocol = socket.getProtocol()
  if (protocol !== 'TLSv1.3') throw new HandshakeRefusal('downgrade', `The session is ${protocol}, not TLSv1.3`)
  if (!socket.isSessionReused() || socket.getPeerX509Certificate() !== undefined) throw withoutKey()
}

/**
 * The same for TLS 1.2, where the suite says what a session stands on, and a session that is reused stands on another's key.
 * From here on the session does not negotiate anew: it would ask for the key again.
 */
export function requireTls12PskSession(socket: TLSSocket, suites: readonly Tls12Suite[]): void {
  const protocol = socket.getProtocol()
  if (protocol !== 'TLSv1.2') throw new HandshakeRefusal('downgrade', `The session is ${protocol}, not TLSv1.2`)
  const hasSuite = suites.some(suite => suite === socket.getCipher().name)
  if (!hasSuite || socket.isSessionReused() || socket.getPeerX509Certificate() !== undefined) throw withoutKey()
  socket.disableRenegotiation()
}

function withoutKey(): HandshakeRefusal {
  return new HandshakeRefusal('downgrade', 'The session was made without the pre-shared key')
}
