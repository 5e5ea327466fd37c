import { ClosedError, ProtocolError, StoreError, UnauthorizedError } from '../../errors.ts'
import type { Logger } from '../../interface/logger.ts'
import type { MessageChannel } from '../../interface/message-channel.ts'
import type { SecretKey } from '../../key/secret-key.ts'
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
  type PeerMessage,
  WIRE_VERSION,
} from './peer-wire.ts'
import type { Restores } from './restores.ts'
import { type Exchanged, type HandshakeWire, RootAgreement } from './root-agreement.ts'
import { type Agreement, agree, type Hello, isRolledBack } from './session-agreement.ts'
import type { StoreStanding } from './store-standing.ts'

/** Messages that wait for the channel; more means that the peer reads no more. */
const MAX_QUEUED = 4096
const MARK_INTERVAL_MS = 1000
/** Clocks are compared at the start of a session, and then this often. */
const CLOCK_INTERVAL_MS = 10_000
const HANDSHAKE_MESSAGES: ReadonlySet<MessageName> = new Set([
  'hello',
  'contribute',
  'encapsulated',
  'confirm',
  'resync',
  'state',
])
const HANDSHAKE_TIMEOUT_MS = 10_000
const CLOSE_TIMEOUT_MS = 2000

/** What to do with each message once the session is open. */
export type MessageHandlers = {
  readonly [N in MessageName]?: (message: Readonly<MessageFields<N>>) => void | Promise<void>
}

/** One channel, and what its session serves. */
export interface PeerSessionOptions {
  readonly channel: MessageChannel
  readonly ledger: BlockLedger
  readonly secrets: PairSecrets
  /** What is known of the age of this store, and what is done about it. */
  readonly standing: StoreStanding
  readonly restores: Restores
  /** Signs for this site, and demands that the peer signs; undefined where neither is. */
  readonly identity: SiteIdentity | undefined
  /** Parameter sets of ML-KEM that this site takes, as bits. */
  readonly kems: number
  /** 16 bytes drawn at the start of this process. */
  readonly startNonce: Uint8Array
  readonly lifetimeMs: number
  /** Told of a new pair secret that was refused: the peer could not show that it holds it, or did not sign. */
  readonly onRefused: (reason: string) => void
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
      await this.#options.standing.met()
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

  /** Resolves once all that is queued by now has gone out, or is lost with the channel. */
  drained(): Promise<void> {
    return this.#sending
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
    const { ledger, startNonce, identity } = this.#options
    const wire: HandshakeWire = {
      send: message => this.send(message),
      expect: name => this.#expect(name, signal),
    }
    const local = this.#hello()
    wire.send({ name: 'hello', ...local })
    const remote = await wire.expect('hello')
    if (remote.siteId !== ledger.remoteSiteId) {
      throw new ProtocolError(`The peer calls itself ${remote.siteId}; ${ledger.remoteSiteId} was expected`)
    }
    const agreement = agree(local, remote)
    const root = new RootAgreement({ ledger, identity, wire })
    const nonces = order(ledger, startNonce, remote.startNonce)
    if (agreement.reset !== undefined) await this.#beginAnew(agreement.reset, { local, remote, root, nonces })
    else await this.#goOn(agreement, { local, remote, root, nonces, wire })
    return { lifetimeMs: agreement.lifetimeMs, kems: remote.kems }
  }

  /** Both stores hold what they should, or one takes what it forgot from the other. */
  async #goOn({ resync: side, pending }: Agreement, { remote, root, nonces, wire }: Hellos & { wire: HandshakeWire }) {
    const { ledger, secrets, restores } = this.#options
    if (side === 'local') await restores.found(remote.heardCommits)
    ledger.hear(remote.commits)
    const secret = pending === 'promote' ? secrets.next : ledger.secret
    if (secret === undefined) throw new ProtocolError('The two sites share no pair secret')
    await root.confirm(secret, nonces)
    if (pending === 'promote') await secrets.promote()
    if (side === 'local') await restores.resync(wire, remote.heardCommits)
    else if (side === 'remote') restores.answer(await wire.expect('resync'), wire)
    if (pending === 'discard') await secrets.discardPending()
  }

  /**
   * Row 27. What the old secret holds is given up only for one that the peer has proven, and signed where it must: a session that
   * fails leaves nothing which the next one would go on with. Where one side has begun anew and the other has not, the roots
   * differ, and the next hellos bring both here again.
   */
  async #beginAnew(reset: NonNullable<Agreement['reset']>, { local, remote, root, nonces }: Hellos): Promise<void> {
    const { secrets, identity, restores } = this.#options
    if (isRolledBack(local, remote)) await restores.found(remote.heardCommits)
    const { reason, ...fields } = reset
    if (identity === undefined && secrets.note.isSigned)
      throw new UnauthorizedError(
        'The last pair secret was signed; a new one would not be: the configuration has lost its mlDsa',
      )
    const { root: fresh, exchanged } = await root.agree(reset.poolEpoch)
    await this.#prove(fresh, exchanged, { root, nonces, sealEpoch: reset.sealEpoch })
    await restores.reset(reason, notes =>
      secrets.reset({
        ...fields,
        peerCommits: remote.commits,
        root: fresh,
        isSigned: identity !== undefined,
        notes,
      }),
    )
  }

  /** Takes `fresh` away where the peer does not prove it. */
  async #prove(
    fresh: SecretKey,
    exchanged: Exchanged,
    { root, nonces, sealEpoch }: Pick<Hellos, 'root' | 'nonces'> & { sealEpoch: number },
  ): Promise<void> {
    const secret = new PairSecret(fresh, this.#options.ledger.pair, { sealEpoch })
    try {
      await root.confirm(secret, nonces, exchanged)
    } catch (error) {
      fresh.wipe()
      if (error instanceof ProtocolError || error instanceof UnauthorizedError) this.#options.onRefused(error.message)
      throw error
    } finally {
      secret.seal.wipe()
    }
  }

  #hello(): Hello {
    const { ledger, secrets, startNonce, lifetimeMs, kems, standing } = this.#options
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
      store: standing.bits,
    }
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

/** Two hellos, and how their secret is agreed on. */
interface Hellos {
  readonly local: Hello
  readonly remote: Hello
  readonly root: RootAgreement
  readonly nonces: [Uint8Array, Uint8Array]
}

/** Both start nonces in the order of the sorted sites, the same at both ends. */
function order(ledger: BlockLedger, local: Uint8Array, remote: Uint8Array): [Uint8Array, Uint8Array] {
  return ledger.localSiteId === ledger.pair.siteIds[0] ? [local, remote] : [remote, local]
}
