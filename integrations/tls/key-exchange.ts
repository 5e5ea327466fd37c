import { randomBytes } from 'node:crypto'
import type { Duplex } from 'node:stream'
import type { TLSSocket } from 'node:tls'
import type { AdmittedConnection } from './admitted-connection.ts'
import { KeyExchangeStream } from './key-exchange-stream.ts'
import type { NamedKey } from './key-quarantine.ts'
import type { PeekedSocket } from './peeked-socket.ts'
import { LentPsk, MIN_PSK_BYTES } from './psk.ts'
import { concernsKey, HandshakeRefusal, toRefusal } from './refusal.ts'
import { requireTls12PskSession, setQkdInfo } from './session.ts'
import { showAddresses } from './socket-addresses.ts'
import type { Tls12Suite } from './suites.ts'

/** Options of `KeyExchangeConnection`. */
export interface KeyExchangeOptions {
  /** Finds the key that an identity names. */
  readonly find: (identity: Buffer, options: { signal: AbortSignal }) => Promise<NamedKey>
  readonly suites: readonly Tls12Suite[]
  /** The one group that the server takes, if it takes only one. */
  readonly group: string | undefined
  /** From the ClientHello until the key is there. */
  readonly deadlineMs: number
}

/**
 * Let through to its TLS 1.2 handshake before it has said which key. Only the end of that handshake shows whether a client
 * has the key that it names: several may try with the same one, and the first that ends its handshake has it. Where there is
 * no key the handshake goes on with a random one, so that it fails as it would with a wrong one, and tells nothing.
 */
export class KeyExchangeConnection implements AdmittedConnection {
  readonly #options: KeyExchangeOptions
  readonly #decoy = randomBytes(MIN_PSK_BYTES)
  readonly #over = new AbortController()
  readonly decided: Promise<void>
  #onDecided = () => {}
  #timer: NodeJS.Timeout | undefined
  #raw: Duplex | undefined
  #identity: string | undefined
  #held: { readonly named: NamedKey; readonly lent: LentPsk } | undefined
  #socket: TLSSocket | undefined
  #refusal: HandshakeRefusal | undefined

  constructor(options: KeyExchangeOptions) {
    this.#options = options
    this.decided = new Promise(resolve => {
      this.#onDecided = resolve
    })
  }

  get refusal(): HandshakeRefusal | undefined {
    return this.#refusal
  }

  begin(peeked: PeekedSocket): Duplex {
    const { raw } = peeked
    const onIdentity = (identity: Buffer) => this.#take(identity)
    const stream = new KeyExchangeStream(raw, { received: peeked.takeOver(), onIdentity })
    this.#raw = raw
    this.#timer = setTimeout(() => this.#onDeadline(stream), this.#options.deadlineMs).unref()
    return stream
  }

  pskFor(socket: TLSSocket, identity: string): Buffer | null {
    this.#socket ??= socket
    if (this.#over.signal.aborted || this.#socket !== socket) return null
    // OpenSSL cuts an identity at a NUL: what it then asks for was never looked up.
    return this.#held !== undefined && identity === this.#identity ? this.#held.lent.bytes : this.#decoy
  }

  confirm(socket: TLSSocket): void {
    if (this.#over.signal.aborted || this.#socket !== socket || this.#held === undefined) {
      throw new HandshakeRefusal('downgrade', 'The session was made without the key that the gate admitted')
    }
    const { suites, group } = this.#options
    requireTls12PskSession(socket, suites)
    const { key, masterSaeId, slaveSaeId, keyId } = this.#held.named
    if (!key.claim()) throw new HandshakeRefusal('in-use', 'Another handshake has used the key')
    showAddresses(socket, this.#raw)
    setQkdInfo(socket, { masterSaeId, slaveSaeId, keyId, level: key.level, group, cipher: socket.getCipher().name })
    key.spend()
    this.end()
  }

  end(): void {
    this.#over.abort(new HandshakeRefusal('closed', 'The peer closed the connection'))
    this.#held?.lent.wipe()
    this.#settle()
  }

  /** Resolves when the handshake can go on, with the key or without; rejects where it must not. */
  async #take(identity: Buffer): Promise<void> {
    this.#identity = identity.toString('latin1')
    const { signal } = this.#over
    try {
      const named = await this.#options.find(identity, { signal })
      signal.throwIfAborted()
      const { tls12Psk } = named.key
      if (tls12Psk === undefined || tls12Psk.wiped) throw new HandshakeRefusal('in-use', 'The key was used before')
      this.#held = { named, lent: new LentPsk(tls12Psk) }
    } catch (error) {
      this.#refusal = toRefusal(error)
      if (!concernsKey(this.#refusal)) throw this.#refusal
    } finally {
      this.#settle()
    }
  }

  #settle(): void {
    clearTimeout(this.#timer)
    this.#onDecided()
  }

  #onDeadline(stream: KeyExchangeStream): void {
    const why = `within ${this.#options.deadlineMs} ms`
    if (this.#identity !== undefined) this.#over.abort(new HandshakeRefusal('kms', `The KMS gave no key ${why}`))
    else stream.refuse(new HandshakeRefusal('silent', `No ClientKeyExchange came ${why}`))
  }
}
