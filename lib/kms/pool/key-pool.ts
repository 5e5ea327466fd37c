import { randomBytes } from 'node:crypto'
import { ClosedError, PoolDesyncError } from '../../errors.ts'
import type { Key } from '../../interface/kms.ts'
import type { AbortOptions, Closable } from '../../interface/lifecycle.ts'
import type { Logger } from '../../interface/logger.ts'
import type { MessageChannel } from '../../interface/message-channel.ts'
import type { BlockRecord } from '../../interface/pool-store.ts'
import type { Telemetry } from '../../interface/telemetry.ts'
import type { SaePair } from '../../key/key-id.ts'
import type { SiteIdentity } from '../../key/site-identity.ts'
import { blockKind } from '../../key/virtual-block.ts'
import { abortable, withDeadline } from '../../util/deadline.ts'
import { deferred } from '../../util/deferred.ts'
import { BlockLedger } from './block-ledger.ts'
import { BlockVerifier } from './block-verifier.ts'
import { Filler } from './filler.ts'
import { Handovers } from './handovers.ts'
import { IncidentLine } from './incident-line.ts'
import type { IssueRequest } from './issuer.ts'
import type { KeyPoolOptions, PoolLimits } from './key-pool-options.ts'
import type { KeyPoolStatus, PairSecretStatus } from './key-pool-status.ts'
import { LaneBalance } from './lane-balance.ts'
import { LEASE_LIFE_MS } from './lessee.ts'
import { pairIdentity } from './pair-secret.ts'
import { PairSecrets } from './pair-secrets.ts'
import { PeerSession } from './peer-session.ts'
import { type MessageFields, NONCE_BYTES, type PeerMessage } from './peer-wire.ts'
import { gaugePool } from './pool-gauges.ts'
import { Ratchet, scheduleOf } from './ratchet.ts'
import { offered } from './refresh-exchange.ts'
import { Restores } from './restores.ts'
import { type RetrievalTerms, Retriever } from './retriever.ts'
import { refuseShares, SharedKeyAcceptor } from './shared-key-acceptor.ts'
import { SharedKeys } from './shared-keys.ts'
import { Shredder } from './shredder.ts'
import { StockOrders } from './stock-orders.ts'
import { StoreStanding } from './store-standing.ts'
import { Supplies } from './supplies.ts'
import { Sweeps } from './sweeps.ts'
import { VirtualAcceptor } from './virtual-acceptor.ts'
import { NO_VIRTUAL_BLOCKS, VirtualOpener } from './virtual-opener.ts'

const SWEEP_MS = 250
const VERIFY_TIMEOUT_MS = 60_000

export type { KeyPoolOptions, PoolLimits } from './key-pool-options.ts'
export type { KeyPoolStatus, PairSecretStatus } from './key-pool-status.ts'

/**
 * The key that this site shares with one other: taken from the QNL, verified with the peer, issued from acknowledged
 * leases on one side and retrieved by sealed selection on the other. The rooms: ledger (what is durable), verifier
 * (blocks), lessee and book (issuing), retriever (delivering), session (the peer).
 */
export class KeyPool implements Closable {
  readonly remoteSiteId: string
  readonly #limits: PoolLimits
  readonly #ledger: BlockLedger
  readonly #secrets: PairSecrets
  readonly #standing: StoreStanding
  readonly #restores: Restores
  readonly #ratchet: Ratchet
  readonly #identity: SiteIdentity | undefined
  readonly #now: () => number
  #kemsOfPeer = 0
  readonly #verifier: BlockVerifier
  readonly #supplies: Supplies
  readonly #retriever: Retriever
  readonly #balance: LaneBalance
  readonly #shredder: Shredder
  readonly #filler: Filler
  readonly #orders: StockOrders
  readonly #opener: VirtualOpener
  readonly #acceptor: VirtualAcceptor
  /** Keys that several hosts get: what this site holds for its own, and what it hands over. */
  readonly shared: SharedKeys
  readonly handovers: Handovers
  /** What may not leave this pool, by either site's word. */
  readonly incidents: IncidentLine
  readonly #sharedAcceptor: SharedKeyAcceptor
  readonly #telemetry: Telemetry
  readonly #logger: Logger
  readonly #startNonce = randomBytes(NONCE_BYTES)
  readonly #sweeps: Sweeps
  #session: PeerSession | undefined
  #running: Promise<void> = Promise.resolve()
  #lifetimeMs: number
  readonly #metPeer = deferred<void>()
  #hasMetPeer = false
  #closing: Promise<void> | undefined

  private constructor(
    options: KeyPoolOptions,
    { ledger, secrets, standing }: { ledger: BlockLedger; secrets: PairSecrets; standing: StoreStanding },
  ) {
    const {
      telemetry,
      logger,
      limits,
      remoteSiteId,
      virtual: terms = NO_VIRTUAL_BLOCKS,
      now = steadyWallClock,
      monotonicMs = () => performance.now(),
    } = options
    this.remoteSiteId = remoteSiteId
    this.#limits = limits
    this.#ledger = ledger
    this.#secrets = secrets
    this.#standing = standing
    this.#identity = options.identity
    this.#now = now
    this.#telemetry = telemetry
    this.#logger = logger
    this.#lifetimeMs = limits.lifetimeMs
    // Before a session is open its hellos have the channel to themselves; what matters is said again when it is.
    const send = (message: PeerMessage) => {
      if (this.connected) this.#session?.send(message)
    }
    const drained = async () => this.#session?.drained()
    const isConnected = () => this.connected
    this.#verifier = new BlockVerifier({
      ledger,
      send,
      drained,
      verifyTimeoutMs: VERIFY_TIMEOUT_MS,
      monotonicMs,
      onMismatch: () => this.#restores.mismatch(),
      onActive: block => {
        this.#opener.proven(block)
        this.#supplies.forBlock(block).issuer.leaseAhead()
      },
    })
    const common = { ledger, send, isConnected, monotonicMs, logger }
    this.#ratchet = new Ratchet({
      ...common,
      secrets,
      schedule: scheduleOf(limits),
      identity: options.identity,
      offeredByPeer: () => this.#kemsOfPeer,
      endSession: () => void this.#session?.close().catch(() => {}),
      now,
    })
    this.#supplies = new Supplies({
      ...common,
      network: {
        findMore: () => {
          if (network.lessee.unleasedCells() === 0) this.#balance.ask()
          this.#filler.look()
        },
        onAsked: request => this.#orders.asked(request),
        onWaited: waitMs => this.#orders.waited(waitMs),
      },
      findMoreVirtual: (kind, classes) => this.#opener.findMore(kind, classes),
    })
    const { network } = this.#supplies
    this.#restores = new Restores({
      ...common,
      ...limits,
      standing,
      now,
      burnLeases: reason => this.#supplies.burnLeases(reason),
      onSuspend: () => void this.#session?.close().catch(() => {}),
    })
    const keyLifeMs = () => LEASE_LIFE_MS + this.#lifetimeMs
    this.shared = new SharedKeys({ ledger, now, keyLifeMs })
    this.handovers = new Handovers({ ledger, send, isConnected })
    this.#retriever = new Retriever({
      ledger,
      send,
      now,
      lifetimeMs: () => this.#lifetimeMs,
      shared: this.shared,
      epochs: () => secrets.epochs(),
    })
    const retrievalsOver = () => this.#retriever.leavingOver()
    this.incidents = new IncidentLine({ ledger, send, isConnected, retrievalsOver })
    this.#balance = new LaneBalance({
      ledger,
      send,
      drained,
      onChange: () => network.issuer.serve(),
      ownShare: () => this.#orders.ownShare(),
    })
    const [verifier, retriever] = [this.#verifier, this.#retriever]
    this.#opener = new VirtualOpener({ ...common, verifier, network, supplyOf: kind => this.#supplies.of(kind), terms })
    this.#acceptor = new VirtualAcceptor({ ledger, send, verifier, retriever, terms })
    const admit = options.admitShare ?? refuseShares
    this.#sharedAcceptor = new SharedKeyAcceptor({
      ledger,
      shared: this.shared,
      retriever,
      send,
      admit,
      abroad: options.abroad,
    })
    const lesseeOf = (block: BlockRecord) => this.#supplies.forBlock(block).lessee
    this.#shredder = new Shredder({ ledger, lesseeOf, shredMs: limits.shredMs, monotonicMs, logger })
    this.#filler = new Filler({
      qnl: options.qnl,
      remoteSiteId,
      verifier: this.#verifier,
      wants: () => this.#wantsBlocks(),
      floor: () => ledger.pool.floor,
      onBlock: () => this.#orders.arrived(),
      logger,
    })
    ledger.onCommit(() => this.#filler.look())
    this.#orders = new StockOrders({
      qnl: options.qnl,
      ledger,
      limits,
      leasedCells: () => network.book.cells,
      waitingCells: () => network.issuer.waitingCells,
      telemetry,
      logger,
      nowMs: monotonicMs,
    })
    this.#sweeps = new Sweeps(() => this.#sweep(), {
      everyMs: SWEEP_MS,
      onError: error => this.#logger.error({ peer: remoteSiteId, err: String(error) }, 'A sweep of the pool failed'),
    })
  }

  /** Reads the pool from its store and begins to fill it as soon as the peer is there. */
  static async open(options: KeyPoolOptions): Promise<KeyPool> {
    const { store, slots, localSiteId, remoteSiteId, telemetry } = options
    const pair = pairIdentity(localSiteId, remoteSiteId)
    const ledger = await BlockLedger.open({ store, slots, pair, localSiteId, remoteSiteId, telemetry })
    const { now = steadyWallClock, limits } = options
    let pool: KeyPool | undefined
    const lifetimeMs = () => pool?.lifetimeMs ?? limits.lifetimeMs
    const standing = await StoreStanding.open({ ...options, ledger })
    const secrets = await PairSecrets.open({ ledger, now, lifetimeMs })
    pool = new KeyPool(options, { ledger, secrets, standing })
    pool.#filler.start()
    return pool
  }

  /** Both site IDs, as the pair writes them. */
  get poolId(): Uint8Array {
    return this.#ledger.poolId
  }

  /** How long a key may wait to be fetched after the end of its lease, as agreed with the peer, in milliseconds. */
  get lifetimeMs(): number {
    return this.#lifetimeMs
  }

  /** Refreshes the pair secret as soon as the epoch before is over, whatever the schedule says. */
  refreshSecret(): void {
    this.#ratchet.request()
  }

  get connected(): boolean {
    return this.#session?.isOpen === true
  }

  /** Takes a channel to the peer's KMS over, in place of the one before. Resolves when the session on it has ended. */
  async attach(channel: MessageChannel): Promise<void> {
    if (this.#closing !== undefined) {
      await channel.close()
      return
    }
    const previous = this.#session
    const session = new PeerSession({
      channel,
      ledger: this.#ledger,
      secrets: this.#secrets,
      standing: this.#standing,
      restores: this.#restores,
      identity: this.#identity,
      kems: offered(scheduleOf(this.#limits).kem),
      startNonce: this.#startNonce,
      lifetimeMs: this.#limits.lifetimeMs,
      onRefused: reason => this.#ratchet.refuse(reason),
      handlers: {
        ...this.#verifier.handlers,
        ...this.#supplies.handlers,
        ...this.#acceptor.handlers,
        ...this.#sharedAcceptor.handlers,
        ...this.handovers.handlers,
        ...this.incidents.handlers,
        ...this.#ratchet.handlers,
        ...this.#retriever.handlers,
        lease: message => this.#onLease(message),
        ...this.#balance.handlers,
        finished: message => this.#onFinished(message),
      },
      logger: this.#logger,
    })
    this.#session = session
    this.#running = this.#running.then(async () => {
      await this.#runSession(session)
    })
    const ended = this.#running
    await previous?.close()
    await ended
  }

  /** Fresh keys, all or none: see `Issuer.issue`. */
  async issue(request: IssueRequest): Promise<Key[]> {
    this.#requireOpen()
    return this.#supplies.forSuite(request.suite).issuer.issue(request)
  }

  /** The keys of these IDs that the peer issued to `pair`: see `Retriever.retrieve`. */
  async retrieve(
    pair: SaePair,
    keyIds: readonly string[],
    { waitMs, signal, terms }: AbortOptions & { waitMs: number; terms?: RetrievalTerms },
  ): Promise<Key[]> {
    this.#requireOpen()
    // Until the peer has said how far it knows our store, a restored one could deliver twice.
    if (!this.#hasMetPeer) await this.#awaitPeer(waitMs, signal)
    signal?.throwIfAborted()
    // Row 24, also where a running process learns it: what the store has forgotten may have been delivered.
    if (this.#ledger.pool.rolledBack)
      throw new PoolDesyncError(
        `The store was put back, and the KMS of ${this.remoteSiteId} has not said yet what it forgot`,
        {
          retryAfterMs: 1000,
        },
      )
    return this.#retriever.retrieve(pair, keyIds, terms)
  }

  status(): KeyPoolStatus {
    const blocks = { received: 0, ready: 0, active: 0, drained: 0, dropped: 0 }
    for (const block of this.#ledger.blocks()) if (blockKind(block.number) === 'network') blocks[block.state]++
    const { network, virtualCells, waitingRequests } = this.#supplies
    return {
      remoteSiteId: this.remoteSiteId,
      connected: this.connected,
      issuableCells: network.issuer.issuableCells,
      leasedCells: network.book.cells,
      virtualCells,
      blocks,
      waitingRequests,
      mismatches: this.#verifier.mismatches,
      losses: this.#restores.losses,
      suspendedMs: this.#restores.suspendedMs,
      demand: this.#orders.status(network.issuer.issuableCells),
      secret: this.#secretStatus(),
    }
  }

  /** Refuses new requests, lets the running ones end, tells the peer how far the store got, and wipes all key in memory. */
  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #close(): Promise<void> {
    this.#sweeps.stop()
    this.#supplies.fail(new ClosedError('The pool is closed'))
    await this.#opener.close()
    await this.#filler.close()
    await this.#orders.close()
    await this.#sweeps.over()
    await this.#session?.close()
    await this.#running
    await this.#ledger
      .rememberHeard()
      .catch(error => this.#logger.error({ err: String(error) }, 'The last mark is lost'))
    if (this.#hasMetPeer) this.#standing.note()
    this.#supplies.wipe()
    this.#retriever.wipe()
    this.#verifier.wipe()
    this.#secrets.wipe()
    this.#ledger.wipe()
  }

  async #runSession(session: PeerSession): Promise<void> {
    const { remoteSiteId: peerSiteId } = this
    let reason: string | undefined
    try {
      this.#restores.admit()
      await session.run(({ lifetimeMs, kems }) => {
        this.#lifetimeMs = lifetimeMs
        this.#kemsOfPeer = kems
        this.#hasMetPeer = true
        this.#metPeer.resolve()
        this.#telemetry.emit({ type: 'peer', peerSiteId, state: 'connected' })
        this.#resume().catch(error => this.#logger.error({ err: String(error) }, 'Resuming with the peer failed'))
      })
    } catch (error) {
      reason = (error as Error).message
      this.#logger.warn({ peerSiteId, reason }, 'The session with the peer failed')
      await session.close()
    }
    this.#supplies.abandon()
    this.handovers.abandon()
    this.incidents.abandon()
    this.#ratchet.abandon()
    this.#telemetry.emit({
      type: 'peer',
      peerSiteId,
      state: 'disconnected',
      ...(reason === undefined ? {} : { reason }),
    })
  }

  async #resume(): Promise<void> {
    await this.#ledger.buryDead()
    this.incidents.met()
    await this.#supplies.finishLeased()
    await this.#verifier.resume()
    await this.#balance.resume()
    this.#orders.tick()
    this.#opener.resume()
    this.#supplies.leaseAhead()
  }

  /** The owner's word that it will never issue from a block again, or never had it. */
  async #onFinished({ block: number, grant }: MessageFields<'finished'>): Promise<void> {
    const block = this.#ledger.block(number)
    if (block === undefined || this.#ledger.owns(block)) return
    if (block.state === 'received') await this.#verifier.drop(7, block, 'the peer never had it')
    else if (block.state === 'ready' && block.grant === grant) await this.#retriever.finish(block)
  }

  async #onLease(message: MessageFields<'lease'>): Promise<void> {
    if (blockKind(message.block) === 'network') this.#orders.leased(message.cells)
    await this.#retriever.handlers.lease?.(message)
  }

  #wantsBlocks(): boolean {
    if (!this.connected) return false
    const { own, peers } = this.#balance.stock()
    const { awaited, overdue } = this.#verifier.unverified()
    // A network that lost blocks on one side's way gives that side the next ones only once this side has drawn them, too.
    const unverified = awaited + Math.max(0, overdue - this.#limits.targetBlocks)
    return this.#orders.hasRoomFor(own + peers + unverified)
  }

  async #awaitPeer(waitMs: number, signal: AbortSignal | undefined): Promise<void> {
    try {
      await abortable(this.#metPeer.promise, { signal: withDeadline(signal, waitMs) })
    } catch (cause) {
      signal?.throwIfAborted()
      throw new PoolDesyncError(`The KMS of ${this.remoteSiteId} has not been met since this one started`, {
        cause,
        retryAfterMs: 1000,
      })
    }
  }

  #secretStatus(): PairSecretStatus | undefined {
    if (this.#ledger.secret === undefined) return undefined
    const { sinceMs, kem, isSigned, previous } = this.#secrets.note
    return {
      epoch: this.#ledger.pool.sealEpoch,
      ageMs: Math.max(0, this.#now() - sinceMs),
      kem,
      isSigned,
      isPreviousAlive: previous !== undefined,
      refused: this.#ratchet.refused,
    }
  }

  #requireOpen(): void {
    if (this.#closing !== undefined) throw new ClosedError('The pool is closed')
  }

  /** Everything that goes by the clock. */
  async #sweep(): Promise<void> {
    // Before the peer has said how far it knows this store, a commit could make a restored one look new.
    if (this.connected) this.#orders.tick()
    this.#filler.look()
    if (this.#hasMetPeer) await this.#sweepParts()
    this.#report()
  }

  /** Each part for itself: a block that one stumbles over must not keep the others from their work. */
  async #sweepParts(): Promise<void> {
    const parts = [
      ...this.#supplies.lessees,
      this.#retriever,
      this.shared,
      this.#secrets,
      this.#shredder,
      ...(this.connected ? [this.#verifier] : []),
    ]
    for (const part of parts) {
      await part.sweep().catch(error => {
        this.#logger.error(
          { peer: this.remoteSiteId, err: String(error) },
          `A sweep of the ${part.constructor.name} failed`,
        )
      })
    }
    await this.#ledger.rememberHeard()
    this.#standing.note()
    if (this.connected) this.#balance.ask()
    this.#supplies.leaseAhead()
    this.#opener.sweep()
    this.#ratchet.sweep()
  }

  #report(): void {
    const status = this.status()
    this.#orders.report(status.issuableCells)
    gaugePool(this.#telemetry, status)
  }
}

/** The wall clock as it was when the process began, and what has passed since: a clock that is set doesn't expire keys. */
export function steadyWallClock(): number {
  return performance.timeOrigin + performance.now()
}
