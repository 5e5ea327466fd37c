import { ClosedError, ProtocolError, StoreError } from '../../errors.ts'
import type { Logger } from '../../interface/logger.ts'
import type { MessageChannel } from '../../interface/message-channel.ts'
import { lp } from '../../key/lp.ts'
import { SecretKey } from '../../key/secret-key.ts'
import type { SiteIdentity } from '../../key/site-identity.ts'
import { delay } from '../../util/deadline.ts'
import type { BlockLedger } from './block-ledger.ts'
import { ClockWatch } from './clock-watch.ts'
import { PairSecret } from './pair-secret.ts'
import type { PairSecrets } from './pair-secrets.ts'
import {
  decodeMessage,
  encodeMessage,
  type MessageFields,
  type MessageName,
  PAIR_KEM,
  type PeerMessage,
  WIRE_VERSION,
} from './peer-wire.ts'
import { agree, type Hello, isRolledBack } from './session-agreement.ts'

/** Messages that wait for the channel; more means that the peer reads no more. */
const MAX_QUEUED = 4096
const MARK_INTERVAL_MS = 1000
/** Clocks are compared at the start of a session, and then this often. */
const CLOCK_INTERVAL_MS = 10_000
const HANDSHAKE_MESSAGES: ReadonlySet<MessageName> = new Set(['hello', 'contribute', 'encapsulated', 'confirm'])
const HANDSHAKE_TIMEOUT_MS = 10_000
const CLOSE_TIMEOUT_MS = 2000
/** Keeps the signatures of a new root apart from all others that the same key may make. */
const ROOT_CONTEXT = 'qkdkit/1 site root'
const NOTHING = new Uint8Array(0)

/** What to do with each message once the session is open. */
export type MessageHandlers = {
  readonly [N in MessageName]?: (message: Readonly<MessageFields<N>>) => void | Promise<void>
}

/** One channel, and what its session serves. */
export interface PeerSessionOptions {
  readonly channel: MessageChannel
  readonly ledger: BlockLedger
  readonly secrets: PairSecrets
  /** Signs for this site, and demands that the peer signs; undefined where neither is. */
  readonly identity: SiteIdentity | undefined
  /** Parameter sets of ML-KEM that this site takes, as bits. */
  readonly kems: number
  /** 16 bytes drawn at the start of this process. */
  readonly startNonce: Uint8Array
  readonly lifetimeMs: number
  readonly handlers: MessageHandlers
  readonly logger: Logger
}

/**
 * One connection to the peer's KMS: hellos, the pair secret, then numbered messages handled one after the other, in
 * order. Ends when the channel does or the peer breaks the protocol; a new session begins from hellos again.
 */
export class PeerSession {
  readonly #options: PeerSessionOptions
  readonly #clocks: ClockWatch
  readonly #handlers: MessageHandlers
  #sent = 0
  #received = 0
  #queued = 0
  #sending: Promise<void> = Promise.resolve()
  #open = false
  #closed = false

  constructor(options: PeerSessionOptions) {
    this.#options = options
    const { remoteSiteId: peerSiteId, telemetry } = options.ledger
    this.#clocks = new ClockWatch({ peerSiteId, telemetry, send: message => this.send(message) })
    this.#handlers = { ...this.#clocks.handlers, ...options.handlers }
  }

  get isOpen(): boolean {
    return this.#open && !this.#closed
  }

  /**
   * Runs the session to its end; resolves when the peer has closed. `onOpen` is called once both sides agree, with the
   * lifetime they agreed on.
   * @throws {ProtocolError} the peer broke the protocol; the channel is closed
   */
  async run(onOpen: (agreed: { lifetimeMs: number; kems: number }) => void): Promise<void> {
    const { channel } = this.#options
    let mark: NodeJS.Timeout | undefined
    let clock: NodeJS.Timeout | undefined
    try {
      const { lifetimeMs, kems } = await this.#shakeHands(AbortSignal.timeout(HANDSHAKE_TIMEOUT_MS))
      this.#open = true
      mark = setInterval(() => this.send({ name: 'mark' }), MARK_INTERVAL_MS)
      mark.unref()
      clock = setInterval(() => this.#clocks.ask(), CLOCK_INTERVAL_MS)
      clock.unref()
      onOpen({ lifetimeMs, kems })
      this.#clocks.ask()
      for (;;) {
        const message = await this.#receive()
        if (message === undefined) return
        await this.#dispatch(message)
      }
    } finally {
      clearInterval(mark)
      clearInterval(clock)
      this.#closed = true
      await channel.close()
    }
  }

  /** Queues a message; it is lost if the channel is. */
  send(message: PeerMessage): void {
    if (this.#closed) return
    if (++this.#queued > MAX_QUEUED) {
      this.#closed = true
      this.#options.channel.close().catch(() => {})
      return
    }
    const bytes = encodeMessage({ sequence: ++this.#sent, commits: this.#options.ledger.pool.commits }, message)
    this.#sending = this.#sending
      .then(() => this.#options.channel.send(bytes))
      .catch(() => {}) // The receiving end of the channel reports its loss.
      .finally(() => {
        this.#queued--
        bytes.fill(0)
      })
  }

  /** Sends what is queued and a last mark, then closes the channel. */
  async close(): Promise<void> {
    if (this.isOpen) this.send({ name: 'mark' })
    this.#closed = true
    // A peer that reads no more must not hold up the end.
    await Promise.race([this.#sending, delay(CLOSE_TIMEOUT_MS)])
    await this.#options.channel.close()
  }

  async #shakeHands(signal: AbortSignal): Promise<{ lifetimeMs: number; kems: number }> {
    const { ledger, secrets, startNonce, logger, identity } = this.#options
    const local = this.#hello()
    this.send({ name: 'hello', ...local })
    const remote = await this.#expect('hello', signal)
    if (remote.siteId !== ledger.remoteSiteId) {
      throw new ProtocolError(`The peer calls itself ${remote.siteId}; ${ledger.remoteSiteId} was expected`)
    }
    const { lifetimeMs, reset, pending } = agree(local, remote)
    const nonces = order(ledger, startNonce, remote.startNonce)
    if (reset === undefined) {
      ledger.hear(remote.commits)
      if (pending === 'promote') await secrets.promote()
      else if (pending === 'discard') await secrets.discardPending()
      await this.#confirm(ledger.secret, nonces, { signal, exchanged: undefined })
    } else {
      if (isRolledBack(local, remote)) {
        logger.error(
          { peerSiteId: ledger.remoteSiteId },
          'This store is older than what the peer has heard of it: it was restored',
        )
      }
      const { poolEpoch, sealEpoch, floor, reason } = reset
      const { root, exchanged } = await this.#agreeOnRoot(poolEpoch, signal)
      const blocks = [...ledger.blocks()].length
      const isSigned = identity !== undefined
      await secrets.reset({ poolEpoch, sealEpoch, floor, peerCommits: remote.commits, root, isSigned })
      ledger.telemetry.emit({ type: 'pool-reset', peerSiteId: ledger.remoteSiteId, poolEpoch, blocks, reason })
      await this.#confirm(ledger.secret, nonces, { signal, exchanged })
    }
    return { lifetimeMs, kems: remote.kems }
  }

  #hello(): Hello {
    const { ledger, secrets, startNonce, lifetimeMs, kems } = this.#options
    const { commits, floor, poolEpoch, sealEpoch } = ledger.pool
    return {
      version: WIRE_VERSION,
      siteId: ledger.localSiteId,
      poolId: ledger.pair.name,
      startNonce,
      commits,
      heardCommits: ledger.heardCommits,
      lifetimeMs,
      floor,
      poolEpoch,
      sealEpoch,
      rootCheck: ledger.secret?.check() ?? new Uint8Array(16),
      pendingCheck: secrets.pendingCheck(),
      kems,
    }
  }

  /**
   * Each side gives 32 fresh bytes inside mutual TLS, and a secret encapsulated under a fresh ML-KEM key of the other: a
   * recording of this connection opens to nobody who breaks only one of the two.
   */
  async #agreeOnRoot(poolEpoch: number, signal: AbortSignal): Promise<{ root: SecretKey; exchanged: Exchanged }> {
    const { pair, localSiteId } = this.#options.ledger
    const isFirst = localSiteId === pair.siteIds[0]
    const kem = PAIR_KEM.generateKeyPair()
    const secrets: SecretKey[] = []
    const own = <T extends SecretKey>(secret: T): T => {
      secrets.push(secret)
      return secret
    }
    try {
      const mine = own(SecretKey.random(32))
      this.send({ name: 'contribute', half: mine, kemKey: kem.publicKey })
      const { half, kemKey } = await this.#expect('contribute', signal)
      const theirs = own(half)
      const { ciphertext, secret } = encapsulateTo(kemKey)
      const toThem = own(secret)
      this.send({ name: 'encapsulated', ciphertext })
      const answer = await this.#expect('encapsulated', signal)
      const toUs = own(kem.decapsulate(answer.ciphertext))
      const parts = isFirst ? [mine, theirs, toThem, toUs] : [theirs, mine, toUs, toThem]
      const publics = [kem.publicKey, kemKey, ciphertext, answer.ciphertext] as const
      const exchanged = isFirst ? publics : swapped(publics)
      return { root: PairSecret.combine(parts, pair, poolEpoch, exchanged), exchanged }
    } finally {
      for (const secret of secrets) secret.wipe()
      kem.wipe()
    }
  }

  /** Both prove that they hold the root; of one that was made in this session, also that it was the other site which made it. */
  async #confirm(
    secret: PairSecret | undefined,
    nonces: [Uint8Array, Uint8Array],
    { signal, exchanged }: { signal: AbortSignal; exchanged: Exchanged | undefined },
  ): Promise<void> {
    const { ledger, identity } = this.#options
    if (secret === undefined) throw new ProtocolError('The two sites share no pair secret')
    const { localSiteId, remoteSiteId, poolId } = ledger
    const statement = (siteId: string) => lp(poolId, siteId, ...nonces, ...(exchanged ?? []))
    const isSigned = identity !== undefined && exchanged !== undefined
    this.send({
      name: 'confirm',
      mac: secret.confirmation(localSiteId, nonces),
      certificate: isSigned ? identity.certificate : NOTHING,
      signature: isSigned ? identity.sign(statement(localSiteId), ROOT_CONTEXT) : NOTHING,
    })
    const { mac, ...proof } = await this.#expect('confirm', signal)
    if (!secret.confirms(mac, remoteSiteId, nonces)) throw new ProtocolError('The peer does not hold the pair secret')
    if (isSigned) identity.verify(remoteSiteId, proof, statement(remoteSiteId), ROOT_CONTEXT)
  }

  async #expect<N extends MessageName>(name: N, signal: AbortSignal): Promise<MessageFields<N>> {
    const message = await this.#receive(signal)
    if (message === undefined) throw new ClosedError('The peer closed the session during the hellos')
    if (message.name !== name) throw new ProtocolError(`The peer sent ${message.name} where ${name} was due`)
    return message as unknown as MessageFields<N>
  }

  async #receive(signal?: AbortSignal): Promise<PeerMessage | undefined> {
    const bytes = await this.#options.channel.receive(signal === undefined ? {} : { signal })
    if (bytes === undefined) return undefined
    const { envelope, message } = decodeMessage(bytes)
    bytes.fill(0)
    if (envelope.sequence !== ++this.#received) {
      throw new ProtocolError(`Message ${envelope.sequence} came where ${this.#received} was due`)
    }
    if (this.#open) this.#options.ledger.hear(envelope.commits)
    return message
  }

  async #dispatch(message: PeerMessage): Promise<void> {
    if (HANDSHAKE_MESSAGES.has(message.name)) {
      throw new ProtocolError(`The peer sent ${message.name} in an open session`)
    }
    const handle = this.#handlers[message.name] as ((message: PeerMessage) => void | Promise<void>) | undefined
    try {
      await handle?.(message)
    } catch (error) {
      // A store that failed, or a block that does not open, is no fault of the peer's: it will ask again.
      if (!(error instanceof StoreError)) throw error
      const { ledger, logger } = this.#options
      logger.error(
        { peerSiteId: ledger.remoteSiteId, message: message.name, err: error.message },
        'A message was not served',
      )
    }
  }
}

/** @throws {ProtocolError} the peer's key is none */
function encapsulateTo(kemKey: Uint8Array): { ciphertext: Uint8Array; secret: SecretKey } {
  try {
    return PAIR_KEM.encapsulate(kemKey)
  } catch (cause) {
    throw new ProtocolError('The peer sent a key that is not one of ML-KEM', { cause })
  }
}

type Exchanged = readonly [Uint8Array, Uint8Array, Uint8Array, Uint8Array]

/** What was exchanged, as the other side wrote it down. */
function swapped([kemKey, theirs, ciphertext, answer]: Exchanged): Exchanged {
  return [theirs, kemKey, answer, ciphertext]
}

/** Both start nonces in the order of the sorted sites, the same at both ends. */
function order(ledger: BlockLedger, local: Uint8Array, remote: Uint8Array): [Uint8Array, Uint8Array] {
  return ledger.localSiteId === ledger.pair.siteIds[0] ? [local, remote] : [remote, local]
}
