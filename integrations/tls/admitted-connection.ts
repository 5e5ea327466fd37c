import { AsyncLocalStorage } from 'node:async_hooks'
import type { Duplex } from 'node:stream'
import type { TLSSocket } from 'node:tls'
import type { QuarantinedKey } from './key-quarantine.ts'
import type { PeekedSocket } from './peeked-socket.ts'
import type { PskContext } from './psk.ts'
import { LentPsk } from './psk.ts'
import { HandshakeRefusal } from './refusal.ts'
import { requirePskSession, setQkdInfo } from './session.ts'

/** A connection that the gate let through to node:tls, until its handshake is over. */
export interface AdmittedConnection {
  /**
   * Takes what the gate has read of `raw` and gives the stream on which node:tls is to make the handshake: `raw` itself where
   * nothing needs to be read any more. Called once, in the turn in which node:tls takes over.
   */
  begin(peeked: PeekedSocket): Duplex
  /** Resolves when the client has said all that the gate waits for. */
  readonly decided: Promise<void> | undefined
  /** Why the handshake must fail, where that is known before OpenSSL sees it. */
  readonly refusal: HandshakeRefusal | undefined
  /** The key for OpenSSL, or null for none; asked again after a HelloRetryRequest. */
  pskFor(socket: TLSSocket, identity: string): Buffer | null
  /**
   * Called with the finished session, before the application sees it.
   * @throws {PskHandshakeError} it is not the session that was admitted
   */
  confirm(socket: TLSSocket): void
  /** The raw socket has closed, or the session stands: gives everything back. Idempotent. */
  end(): void
}

/**
 * Carries the connection from the gate into the synchronous `pskCallback`: OpenSSL's handle is created within its scope.
 * A map by address and port would not do for streams that have neither.
 */
export const admitted = new AsyncLocalStorage<AdmittedConnection | undefined>()

/** The `pskCallback` of every server here: one function, so that `attach` can recognise it. */
export function pskCallback(socket: TLSSocket, identity: string): Buffer | null {
  return admitted.getStore()?.pskFor(socket, identity) ?? null
}

/** What a `PskConnection` was admitted with. */
export interface PskConnectionOptions extends PskContext {
  /** Claimed for this connection. */
  readonly key: QuarantinedKey
  /** As it stands in the ClientHello. */
  readonly identity: string
  /** The one group that the server takes, if it takes only one. */
  readonly group: string | undefined
}

/** One whose ClientHello says all: node:tls takes the native socket over. */
abstract class DecidedConnection {
  readonly decided = undefined
  readonly refusal = undefined

  begin(peeked: PeekedSocket): Duplex {
    peeked.giveBack()
    return peeked.raw
  }
}

/** Admitted under one key, by a client that has proven it. */
export class PskConnection extends DecidedConnection implements AdmittedConnection {
  /** Undefined once it is over: a session that stands keeps nothing of what only its handshake needed. */
  #handshake: { readonly options: PskConnectionOptions; readonly lent: LentPsk } | undefined
  #socket: TLSSocket | undefined

  constructor(options: PskConnectionOptions) {
    super()
    this.#handshake = { options, lent: new LentPsk(options.key.psk) }
  }

  pskFor(socket: TLSSocket, identity: string): Buffer | null {
    if (this.#handshake === undefined || identity !== this.#handshake.options.identity) return null
    // One connection, one socket: whatever else runs in this asynchronous scope gets nothing.
    this.#socket ??= socket
    return this.#socket === socket ? this.#handshake.lent.bytes : null
  }

  confirm(socket: TLSSocket): void {
    if (this.#handshake === undefined || this.#socket !== socket) {
      throw new HandshakeRefusal('downgrade', 'The session was made without the key that the gate admitted')
    }
    requirePskSession(socket)
    const { key, masterSaeId, slaveSaeId, keyId, group } = this.#handshake.options
    setQkdInfo(socket, { masterSaeId, slaveSaeId, keyId, level: key.level, group, cipher: socket.getCipher().name })
    key.spend()
    this.end()
  }

  end(): void {
    if (this.#handshake === undefined) return
    const { options, lent } = this.#handshake
    this.#handshake = undefined
    lent.wipe()
    options.key.release()
  }
}

/** Let through without a key of ours, where the server's options allow certificates. */
export class CertificateConnection extends DecidedConnection implements AdmittedConnection {
  pskFor(): null {
    return null
  }

  confirm(socket: TLSSocket): void {
    // No ticket is honoured on this port: a session that resumes one was made from a key that is long erased.
    if (socket.isSessionReused()) throw new HandshakeRefusal('downgrade', 'The session was resumed from a ticket')
  }

  end(): void {}
}
