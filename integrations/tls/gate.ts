import { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { TLSSocket } from 'node:tls'
import { debugLogger, type Kms, type Logger } from '../../lib/index.ts'
import { Admission } from './admission.ts'
import type { AdmittedConnection } from './admitted-connection.ts'
import { type GateOptions, type GateSettings, gateSettings } from './options.ts'
import { PeekedSocket } from './peeked-socket.ts'
import { HandshakeRefusal, toRefusal } from './refusal.ts'
import { qkdInfo } from './session.ts'

/** Connections in the gate for each look-up allowed: what a peer can hold here before it has said who it is. */
const WAITING_PER_LOOKUP = 16

/** What becomes of a connection that came to the gate. */
export interface GateOutcome {
  /** Called in the turn in which the bytes were put back: the listener must take the stream over at once. */
  onAdmitted(connection: AdmittedConnection, stream: Duplex): void
  /** Called when the socket has closed. */
  onRefused(refusal: HandshakeRefusal): void
}

/** Stands before a TLS server: reads each ClientHello, has its key fetched and proven, and only then lets it through. */
export class Gate {
  readonly #settings: GateSettings
  readonly #admission: Admission
  readonly #logger: Logger
  readonly #saeId: string
  #waiting = 0

  constructor(kms: Kms, options: GateOptions) {
    this.#settings = gateSettings(kms, options)
    this.#admission = new Admission(kms, this.#settings)
    this.#logger = options.logger ?? debugLogger('tls')
    this.#saeId = kms.saeId
  }

  /** Takes a fresh connection. Never throws. */
  receive(raw: Duplex, outcome: GateOutcome): void {
    if (this.#waiting >= this.#settings.maxPending * WAITING_PER_LOOKUP) {
      this.#report(new HandshakeRefusal('overload', `${this.#waiting} connections wait already`))
      raw.destroy()
      return
    }
    this.#waiting += 1
    let isSettled = false
    /** The first of whatever decides on the connection; in a turn of its own, so that what listeners throw is theirs. */
    const settle = (end: () => void): boolean => {
      if (isSettled) return false
      isSettled = true
      process.nextTick(end)
      return true
    }
    const refuse = (error: unknown): void => {
      if (settle(() => this.#refuse(peeked, toRefusal(error), outcome))) this.#waiting -= 1
    }
    const admit = (connection: AdmittedConnection): void => {
      // Its client left while the key was looked up.
      if (!settle(() => this.#letThrough(peeked, connection, outcome))) connection.end()
      else if (connection.decided === undefined) this.#waiting -= 1
      else void connection.decided.then(() => (this.#waiting -= 1))
    }
    const peeked = new PeekedSocket(raw, {
      deadlineMs: this.#settings.deadlineMs,
      onHello: hello => {
        const address = raw instanceof Socket ? raw.remoteAddress : undefined
        this.#admission.admit({ hello, address }).then(admit, refuse)
      },
      onFailure: refuse,
    })
  }

  /**
   * Checks a finished session against the connection that was let through.
   * @throws {HandshakeRefusal} it does not stand on what was admitted
   */
  confirm(connection: AdmittedConnection | undefined, socket: TLSSocket): void {
    try {
      if (connection === undefined) throw new HandshakeRefusal('downgrade', 'The session did not come through the gate')
      connection.confirm(socket)
    } catch (error) {
      const refusal = toRefusal(error)
      this.#report(refusal)
      throw refusal
    }
    const info = qkdInfo(socket)
    if (info === undefined) return
    const { masterSaeId, slaveSaeId, keyId, level } = info
    const { telemetry } = this.#settings
    telemetry?.emit({ type: 'tls-session', masterSaeId, slaveSaeId, keyId, level })
    const retired = { type: 'key-retired', saeId: slaveSaeId, peerSaeId: masterSaeId, keyId, use: 'tls' } as const
    socket.once('close', () => telemetry?.emit({ ...retired, atMs: Date.now() }))
  }

  /** What it means that node:tls gave a handshake up, and tells of it. */
  refusalOf(connection: AdmittedConnection | undefined, error: unknown): HandshakeRefusal {
    const refusal = error instanceof HandshakeRefusal ? error : refusalFor(error, connection?.refusal)
    this.#report(refusal)
    return refusal
  }

  /** Wipes every key held. */
  clear(): void {
    this.#admission.clear()
  }

  /** A session was refused or found wrong: tells the log and the telemetry. */
  #report(refusal: HandshakeRefusal): void {
    const { reason, cause } = refusal
    const why = cause instanceof Error ? cause.message : undefined
    this.#logger.info({ saeId: this.#saeId, reason, cause: why }, refusal.message)
    this.#settings.telemetry?.emit({ type: 'tls-refused', saeId: this.#saeId, reason })
  }

  #letThrough(peeked: PeekedSocket, connection: AdmittedConnection, outcome: GateOutcome): void {
    const { raw, failure } = peeked
    // Lost since it was decided on: nobody would ever give its key back.
    if (failure !== undefined) {
      connection.end()
      this.#refuse(peeked, failure, outcome)
      return
    }
    raw.once('close', () => connection.end())
    outcome.onAdmitted(connection, connection.begin(peeked))
  }

  #refuse(peeked: PeekedSocket, refusal: HandshakeRefusal, outcome: GateOutcome): void {
    this.#report(refusal)
    const { raw } = peeked
    if (raw.closed) outcome.onRefused(refusal)
    else raw.once('close', () => outcome.onRefused(refusal))
    peeked.refuse(refusal)
  }
}

/** An error of node:tls before the session stood, in our words; `known` where the gate knew what would come of it. */
function refusalFor(cause: unknown, known: HandshakeRefusal | undefined): HandshakeRefusal {
  if (known !== undefined) return new HandshakeRefusal(known.reason, known.message, { cause })
  const { code = '' } = cause as NodeJS.ErrnoException
  if (code === 'ERR_TLS_HANDSHAKE_TIMEOUT') {
    return new HandshakeRefusal('silent', 'The handshake did not end in time', { cause })
  }
  if (/BAD_RECORD_MAC|DIGEST_CHECK_FAILED/.test(code)) {
    return new HandshakeRefusal('binder', 'The client has another key', { cause })
  }
  if (code === 'ECONNRESET') return new HandshakeRefusal('closed', 'The peer closed during the handshake', { cause })
  return new HandshakeRefusal('handshake', 'OpenSSL gave the handshake up', { cause })
}
