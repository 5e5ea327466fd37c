import { randomBytes } from 'node:crypto'
import { ClosedError, PoolDesyncError, PoolExhaustedError } from '../../errors.ts'
import type { Key, SecurityLevel } from '../../interface/kms.ts'
import type { AbortOptions, Closable } from '../../interface/lifecycle.ts'
import type { Logger } from '../../interface/logger.ts'
import type { MessageChannel } from '../../interface/message-channel.ts'
import type { PoolStore, SlotStore } from '../../interface/pool-store.ts'
import type { Qnl } from '../../interface/qnl.ts'
import type { Telemetry } from '../../interface/telemetry.ts'
import { cellsFor } from '../../key/cells.ts'
import { type SaePair, sealKeyId } from '../../key/key-id.ts'
import { RAW_SUITES, type Selection } from '../../key/selection.ts'
import { abortable } from '../../util/deadline.ts'
import { deferred } from '../../util/deferred.ts'
import { BlockLedger } from './block-ledger.ts'
import { BlockVerifier } from './block-verifier.ts'
import { DemandRate } from './demand-rate.ts'
import { Filler } from './filler.ts'
import { LaneBalance } from './lane-balance.ts'
import { type CellRange, LeaseBook } from './lease-book.ts'
import { Lessee } from './lessee.ts'
import { pairIdentity } from './pair-secret.ts'
import { PeerSession } from './peer-session.ts'
import { NONCE_BYTES, type PeerMessage } from './peer-wire.ts'
import { Retriever } from './retriever.ts'
import { Shredder } from './shredder.ts'
import { WaitingLine } from './waiting-line.ts'

const SWEEP_MS = 250
const MIN_LEASE_CELLS = 16
const VERIFY_TIMEOUT_MS = 60_000

/** How a pool is run. */
export interface PoolLimits {
  /** Blocks of both lanes together that the pool keeps in stock. */
  readonly targetBlocks: number
  /** How long a key may wait to be fetched after the end of its lease, in milliseconds. */
  readonly lifetimeMs: number
  /** How long a request waits for key before it is refused, in milliseconds. */
  readonly maxWaitMs: number
  /** When delivered cells are gone from the store at the latest, in milliseconds. */
  readonly shredMs: number
  /** Key that the pool asks of the QNL, in bits per second. */
  readonly demandBps: number
}

export interface KeyPoolOptions {
  readonly localSiteId: string
  readonly remoteSiteId: string
  readonly store: PoolStore
  readonly slots: SlotStore
  readonly qnl: Qnl
  readonly limits: PoolLimits
  readonly telemetry: Telemetry
  readonly logger: Logger
  /** Wall clock in milliseconds. Default `Date.now`. */
  readonly now?: () => number
  /** A clock that never steps, in milliseconds. Default `performance.now`. */
  readonly monotonicMs?: () => number
}

/** What a request asks of the pool; limits and rights were checked before. */
export interface IssueRequest extends AbortOptions {
  readonly pair: SaePair
  readonly number: number
  readonly sizeBytes: number
  readonly level: SecurityLevel
  readonly waitMs: number
}

/** A pool as status and metrics see it. Counts in cells of 32 bytes and blocks of 1,000. */
export interface KeyPoolStatus {
  readonly remoteSiteId: string
  readonly connected: boolean
  /** Cells that this side can still issue. */
  readonly issuableCells: number
  /** Cells under an acknowledged lease, ready to go out at once. */
  readonly leasedCells: number
  readonly blocks: Readonly<Record<'received' | 'ready' | 'active' | 'drained' | 'dropped', number>>
  readonly waitingRequests: number
  readonly mismatches: number
}

/**
 * The key that this site shares with one other: taken from the QNL, verified with the peer, issued from acknowledged
 * leases on one side and retrieved by sealed selection on the other. The rooms: ledger (what is durable), verifier
 * (blocks), lessee and book (issuing), retriever (delivering), session (the peer).
 */
export class KeyPool implements Closable {
  readonly remoteSiteId: string
  readonly #limits: PoolLimits
  readonly #ledger: BlockLedger
  readonly #book = new LeaseBook()
  readonly #line = new WaitingLine()
  readonly #verifier: BlockVerifier
  readonly #lessee: Lessee
  readonly #retriever: Retriever
  readonly #balance: LaneBalance
  readonly #shredder: Shredder
  readonly #filler: Filler
  readonly #demand: DemandRate
  readonly #telemetry: Telemetry
  readonly #logger: Logger
  readonly #monotonicMs: () => number
  readonly #startNonce = randomBytes(NONCE_BYTES)
  readonly #timer: NodeJS.Timeout
  #session: PeerSession | undefined
  #running: Promise<void> = Promise.resolve()
  #lifetimeMs: number
  readonly #metPeer = deferred<void>()
  #sweeping: Promise<void> = Promise.resolve()
  #sweepQueued = false
  #closing: Promise<void> | undefined

  private constructor(options: KeyPoolOptions, ledger: BlockLedger) {
    const { telemetry, logger, limits, remoteSiteId, now = Date.now, monotonicMs = () => performance.now() } = options
    this.remoteSiteId = remoteSiteId
    this.#limits = limits
    this.#ledger = ledger
    this.#telemetry = telemetry
    this.#logger = logger
    this.#monotonicMs = monotonicMs
    this.#lifetimeMs = limits.lifetimeMs
    this.#demand = new DemandRate({ windowMs: 1000, nowMs: monotonicMs() })
    const send = (message: PeerMessage) => this.#session?.send(message)
    const onChange = () => this.#serve()
    this.#verifier = new BlockVerifier({
      ledger,
      send,
      verifyTimeoutMs: VERIFY_TIMEOUT_MS,
      monotonicMs,
      onActive: () => this.#requestLeases(),
    })
    this.#lessee = new Lessee({
      ledger,
      book: this.#book,
      send,
      isConnected: () => this.connected,
      monotonicMs,
      onChange,
    })
    this.#retriever = new Retriever({ ledger, send, now, lifetimeMs: () => this.#lifetimeMs })
    this.#balance = new LaneBalance({ ledger, send, onChange })
    this.#shredder = new Shredder({ ledger, lessee: this.#lessee, shredMs: limits.shredMs, monotonicMs })
    this.#filler = new Filler({
      qnl: options.qnl,
      remoteSiteId,
      verifier: this.#verifier,
      wants: () => this.#wantsBlocks(),
      floor: () => ledger.pool.floor,
      demand: { rateBps: limits.demandBps, weight: 1 },
      logger,
    })
    this.#timer = setInterval(() => this.#sweep(), SWEEP_MS)
    this.#timer.unref()
  }

  /** Reads the pool from its store and begins to fill it as soon as the peer is there. */
  static async open(options: KeyPoolOptions): Promise<KeyPool> {
    const { store, slots, localSiteId, remoteSiteId, telemetry } = options
    const pair = pairIdentity(localSiteId, remoteSiteId)
    const ledger = await BlockLedger.open({ store, slots, pair, localSiteId, remoteSiteId, telemetry })
    const pool = new KeyPool(options, ledger)
    await pool.#lessee.finishLeased()
    pool.#filler.start()
    return pool
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
      startNonce: this.#startNonce,
      lifetimeMs: this.#limits.lifetimeMs,
      handlers: {
        ...this.#verifier.handlers,
        ...this.#lessee.handlers,
        ...this.#retriever.handlers,
        ...this.#balance.handlers,
        status: ({ block, grant }) => this.#onStatus(block, grant),
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

  /**
   * Fresh keys, all or none.
   * @throws {PoolExhaustedError} not enough within `waitMs`; nothing was consumed
   */
  async issue(request: IssueRequest): Promise<Key[]> {
    this.#requireOpen()
    const { number, sizeBytes, waitMs, signal } = request
    signal?.throwIfAborted()
    const cells = cellsFor(sizeBytes)
    this.#demand.add(cells * number)
    let taken = this.#line.length === 0 ? this.#takeAll(number, cells) : undefined
    if (taken === undefined) {
      const startedMs = this.#monotonicMs()
      const need = { cells: cells * number, contiguous: cells }
      const waiting = this.#line.wait(() => this.#takeAll(number, cells), { need, waitMs, signal })
      this.#requestLeases()
      taken = await waiting
      this.#telemetry.emit({
        type: 'request-waited',
        peerSiteId: this.remoteSiteId,
        waitMs: this.#monotonicMs() - startedMs,
      })
    }
    if (taken === undefined) throw this.#exhausted(number, cells)
    const keys = taken.map(place => this.#keyAt(place, request))
    this.#requestLeases()
    return keys
  }

  /** The keys of these IDs that the peer issued to `pair`: see `Retriever.retrieve`. */
  async retrieve(
    pair: SaePair,
    keyIds: readonly string[],
    { waitMs, signal }: AbortOptions & { waitMs: number },
  ): Promise<Key[]> {
    this.#requireOpen()
    // Until the peer has said how far it knows our store, a restored one could deliver twice.
    await this.#awaitPeer(waitMs, signal)
    signal?.throwIfAborted()
    return this.#retriever.retrieve(pair, keyIds)
  }

  status(): KeyPoolStatus {
    const blocks = { received: 0, ready: 0, active: 0, drained: 0, dropped: 0 }
    for (const block of this.#ledger.blocks()) blocks[block.state]++
    return {
      remoteSiteId: this.remoteSiteId,
      connected: this.connected,
      issuableCells: this.#book.cells + this.#lessee.unleasedCells(),
      leasedCells: this.#book.cells,
      blocks,
      waitingRequests: this.#line.length,
      mismatches: this.#verifier.mismatches,
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
    clearInterval(this.#timer)
    this.#line.fail(new ClosedError('The pool is closed'))
    await this.#filler.close()
    await this.#sweeping
    await this.#session?.close()
    await this.#running
    this.#book.wipe()
    this.#retriever.wipe()
    this.#verifier.wipe()
    this.#ledger.wipe()
  }

  async #runSession(session: PeerSession): Promise<void> {
    const { remoteSiteId: peerSiteId } = this
    let reason: string | undefined
    try {
      await session.run(({ lifetimeMs }) => {
        this.#lifetimeMs = lifetimeMs
        this.#metPeer.resolve()
        this.#telemetry.emit({ type: 'peer', peerSiteId, state: 'connected' })
        this.#resume().catch(error => this.#logger.error({ err: String(error) }, 'Resuming with the peer failed'))
      })
    } catch (error) {
      reason = (error as Error).message
      this.#logger.warn({ peerSiteId, reason }, 'The session with the peer failed')
    }
    this.#lessee.abandon()
    this.#telemetry.emit({
      type: 'peer',
      peerSiteId,
      state: 'disconnected',
      ...(reason === undefined ? {} : { reason }),
    })
  }

  async #resume(): Promise<void> {
    await this.#verifier.resume()
    this.#balance.resume()
    for (const block of this.#ledger.blocks()) {
      // Row 28: absence is a question, never a reason.
      if (block.state === 'ready' && !this.#ledger.owns(block)) {
        this.#session?.send({ name: 'status', block: block.number, grant: block.grant })
      }
    }
    this.#requestLeases()
  }

  /** Row 28 at the owner: what it holds no more and did not drop, it has used up. */
  #onStatus(number: bigint, grant: number): void {
    const block = this.#ledger.block(number)
    if (block === undefined && number <= this.#ledger.pool.floor)
      this.#session?.send({ name: 'finished', block: number, grant })
  }

  #wantsBlocks(): boolean {
    if (!this.connected) return false
    const { own, peers } = this.#balance.stock()
    let received = 0
    for (const block of this.#ledger.blocks()) if (block.state === 'received') received++
    return own + peers + received < this.#limits.targetBlocks
  }

  /** Places for `number` keys of `cells` cells, or none at all. */
  #takeAll(number: number, cells: number): CellRange[] | undefined {
    const nowMs = this.#monotonicMs()
    const taken: CellRange[] = []
    while (taken.length < number) {
      const place = this.#book.take(cells, nowMs)
      if (place === undefined) {
        for (const back of taken.reverse()) this.#book.giveBack(back)
        return undefined
      }
      taken.push(place)
    }
    return taken
  }

  #keyAt(place: CellRange, { pair, sizeBytes, level }: IssueRequest): Key {
    const selection: Selection = { suite: RAW_SUITES[level]!, block: place.block, offset: place.offset, sizeBytes }
    const keyId = sealKeyId(this.#ledger.secret!.sealKeys(this.#ledger.localSiteId), pair, selection)
    const secret = this.#book.keyAt(place, sizeBytes)
    const { trustClass } = this.#ledger.block(place.block)!
    return { keyId, secret, sizeBits: sizeBytes * 8, level, trustClass }
  }

  /** Row 9: keeps about a second of demand under lease, and what waiting requests need. */
  #requestLeases(): void {
    const stock = this.#book.cells + this.#lessee.unleasedCells()
    const perSecond = Math.ceil(this.#demand.perSecond(this.#monotonicMs()))
    const cap = Math.max(MIN_LEASE_CELLS, Math.floor(stock / 100))
    const ahead = Math.max(MIN_LEASE_CELLS, Math.min(perSecond, cap))
    const need = this.#line.need
    const missing = need !== undefined ? need.cells + ahead : this.#book.cells < ahead / 2 ? ahead : 0
    if (missing === 0) return
    this.#lessee.request(missing, need?.contiguous ?? 1).then(
      () => {
        if (this.#line.length > 0 && this.#lessee.unleasedCells() === 0) this.#balance.ask()
      },
      error => this.#logger.error({ err: String(error) }, 'No lease could be asked for'),
    )
  }

  #serve(): void {
    this.#line.serve()
    if (this.#line.length > 0) this.#requestLeases()
  }

  #exhausted(number: number, cells: number): PoolExhaustedError {
    const available = Math.floor((this.#book.cells + this.#lessee.unleasedCells()) / cells)
    const why = this.connected ? 'not enough key in the pool' : 'no key under lease while the peer KMS is away'
    return new PoolExhaustedError(`No key for ${this.remoteSiteId}: ${why}`, {
      details: [{ key_count_requested: number, key_count_available: available }],
      retryAfterMs: 1000,
    })
  }

  async #awaitPeer(waitMs: number, signal: AbortSignal | undefined): Promise<void> {
    const timeout = AbortSignal.timeout(waitMs)
    const both = signal === undefined ? timeout : AbortSignal.any([signal, timeout])
    try {
      await abortable(this.#metPeer.promise, { signal: both })
    } catch (cause) {
      signal?.throwIfAborted()
      throw new PoolDesyncError(`The KMS of ${this.remoteSiteId} has not been met since this one started`, {
        cause,
        retryAfterMs: 1000,
      })
    }
  }

  #requireOpen(): void {
    if (this.#closing !== undefined) throw new ClosedError('The pool is closed')
  }

  /** Everything that goes by the clock, one sweep after the other. */
  #sweep(): void {
    if (this.#sweepQueued) return
    this.#sweepQueued = true
    this.#sweeping = this.#sweeping
      .then(async () => {
        this.#sweepQueued = false
        await this.#lessee.sweep()
        if (this.connected) await this.#verifier.sweep()
        await this.#retriever.sweep()
        await this.#shredder.sweep()
        if (this.connected) this.#balance.ask()
        this.#requestLeases()
        this.#report()
      })
      .catch(error => this.#logger.error({ peer: this.remoteSiteId, err: String(error) }, 'A sweep of the pool failed'))
  }

  #report(): void {
    const peer = this.remoteSiteId
    const { issuableCells, leasedCells, waitingRequests } = this.status()
    this.#telemetry.gauge('pool_stock_cells', { peer, lane: 'issue' }, issuableCells)
    this.#telemetry.gauge('pool_leased_cells', { peer }, leasedCells)
    this.#telemetry.gauge('pool_waiting_requests', { peer }, waitingRequests)
    this.#telemetry.gauge('pool_consumption_bps', { peer }, this.#demand.perSecond(this.#monotonicMs()) * 256)
  }
}
