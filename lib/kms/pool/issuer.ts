import { PoolExhaustedError } from '../../errors.ts'
import type { Key, TrustClass } from '../../interface/kms.ts'
import type { AbortOptions } from '../../interface/lifecycle.ts'
import type { Logger } from '../../interface/logger.ts'
import { cellsFor } from '../../key/cells.ts'
import { type KeyContext, keyOf } from '../../key/construct.ts'
import { type SaePair, sealKeyId } from '../../key/key-id.ts'
import { levelOf, type Selection, type Suite } from '../../key/selection.ts'
import type { BlockLedger } from './block-ledger.ts'
import { DemandRate } from './demand-rate.ts'
import type { CellRange, LeaseBook } from './lease-book.ts'
import type { Lessee } from './lessee.ts'
import { type Held, type Need, WaitingLine } from './waiting-line.ts'

const MIN_LEASE_CELLS = 16
const DEMAND_WINDOW_MS = 1000

/** What a request asks of the pool; limits and rights were checked before. */
export interface IssueRequest extends AbortOptions {
  readonly pair: SaePair
  /** All SAEs that get the keys. Default the two of `pair`. */
  readonly saeIds?: readonly string[] | undefined
  readonly number: number
  readonly sizeBytes: number
  /** Level and derivation of the keys. */
  readonly suite: Suite
  /** How long it may wait for key, in milliseconds. */
  readonly waitMs: number
  /** 0 to 9; higher goes first. Default 0. */
  readonly priority?: number
  /** Cells of the stock that it must leave to requests of higher priority. Default none. */
  readonly reservedCells?: number
  /** Classes that its key may have come by. Default any. */
  readonly trustClasses?: readonly TrustClass[] | undefined
  /**
   * Called with what is about to leave, before it does; keys leave once it has resolved. Where it rejects nothing was
   * consumed. Default nothing.
   */
  readonly audit?: ((keys: readonly KeyLabel[]) => Promise<void>) | undefined
}

/** What the pool asks of itself: a cell to grow others from. */
interface CellRequest extends AbortOptions {
  /** 0: now or never. */
  readonly waitMs: number
  readonly trustClasses?: readonly TrustClass[] | undefined
}

type Takers = Partial<Pick<IssueRequest, 'pair' | 'saeIds'>>
type ClassesAndReserve = Pick<IssueRequest, 'trustClasses' | 'reservedCells'> & Takers

/** One cell serves a hundred keys, so it goes before each of them. */
const OWN_USE = { need: { cells: 1, contiguous: 1 }, priority: 9, saeId: '' } as const

/** What is said of a key: everything but the key. */
export type KeyLabel = Omit<Key, 'secret'> & KeyOrigin

/** Where a key's material lies in the pool: what the audit log tells beside the label. */
export interface KeyOrigin {
  readonly block?: bigint | undefined
  readonly suite?: Suite | undefined
}

/** A key before its bytes: what is said of it, and what it is made with. */
interface NamedKey {
  readonly label: KeyLabel
  readonly context: KeyContext
}

/** What the issuer works on and with. */
export interface IssuerOptions {
  readonly ledger: BlockLedger
  readonly book: LeaseBook
  readonly lessee: Lessee
  /** Called while a request waits that no block at hand serves; with the classes that it takes, undefined for any. */
  readonly findMore: (trustClasses: readonly TrustClass[] | undefined) => void
  readonly isConnected: () => boolean
  readonly monotonicMs: () => number
  readonly logger: Logger
  /** Called with what each request asks, and with how long those waited that had to. Default nothing. */
  readonly onAsked?: (asked: AskedCells) => void
  readonly onWaited?: (waitMs: number) => void
}

/** What a request asks of the stock, in cells. */
export interface AskedCells extends Pick<IssueRequest, 'priority' | 'reservedCells'> {
  readonly cells: number
}

/**
 * Gives keys out from acknowledged leases (row 14), keeps enough under lease for the demand (row 9), and lets requests
 * wait in order while there is not enough.
 */
export class Issuer {
  readonly #options: IssuerOptions
  readonly #line = new WaitingLine()
  readonly #demand: DemandRate
  /** Cells of the key asked for last: what is left in smaller pieces is no stock for the next one. */
  #lastCells = 1

  constructor(options: IssuerOptions) {
    this.#options = options
    this.#demand = new DemandRate({ windowMs: DEMAND_WINDOW_MS, nowMs: options.monotonicMs() })
  }

  get waitingRequests(): number {
    return this.#line.length
  }

  /** Cells that requests wait for. */
  get waitingCells(): number {
    return this.#line.need?.cells ?? 0
  }

  /** Cells that this side can still issue. */
  get issuableCells(): number {
    return this.#options.book.cells + this.#options.lessee.unleasedCells()
  }

  /** Cells a second that hosts ask for. */
  get cellsPerSecond(): number {
    return this.#demand.perSecond(this.#options.monotonicMs())
  }

  /**
   * Fresh keys, all or none.
   * @throws {PoolExhaustedError} not enough within `waitMs`; nothing was consumed
   */
  async issue(request: IssueRequest): Promise<Key[]> {
    request.signal?.throwIfAborted()
    this.#options.ledger.holds.requireFreeSaes(takersOf(request))
    const cells = cellsFor(request.sizeBytes)
    this.#demand.add(cells * request.number)
    const { priority = 0, reservedCells = 0 } = request
    this.#options.onAsked?.({ cells: cells * request.number, priority, reservedCells })
    this.#lastCells = cells
    const attempt = () => this.#attempt(request, cells)
    const isFirst = !this.#line.isBefore(priority)
    const places = (isFirst ? attempt() : undefined) ?? (await this.#wait(attempt, request, cells))
    const keys = await this.#keysAt(places, request)
    this.leaseAhead()
    return keys
  }

  /**
   * One cell for the pool's own use, whose bytes no key is made of; undefined where there is none within `waitMs`. The bytes
   * stay in the book until `LeaseBook.keyAt`.
   */
  async takeCell({ waitMs, signal, trustClasses }: CellRequest): Promise<CellRange | undefined> {
    const attempt = () => this.#attempt({ number: 1, trustClasses }, 1)
    const isFirst = !this.#line.isBefore(OWN_USE.priority)
    let places = isFirst ? attempt() : undefined
    if (places === undefined && waitMs > 0) {
      const need = { ...OWN_USE.need, trustClasses }
      const heldBy = () => this.#heldBy({ trustClasses }, 1)
      const waiting = this.#line.wait(attempt, { ...OWN_USE, need, heldBy, waitMs, signal })
      this.leaseAhead()
      places = await waiting
    }
    this.leaseAhead()
    return places?.[0]
  }

  /** Something has changed that those who wait may gain from. */
  serve(): void {
    this.#line.serve()
    if (this.#line.length > 0) this.leaseAhead()
  }

  /** Row 9: keeps about a second of demand under lease, and what waiting requests need. */
  leaseAhead(): void {
    const needs = this.#line.needs
    // Who waits for some classes alone does not say what the others will ask for.
    if (needs.every(({ trustClasses }) => trustClasses !== undefined)) {
      const ahead = this.#aheadCells()
      if (this.#options.book.cellsInPieces(this.#lastCells, this.#servesClasses(undefined)) < ahead / 2)
        this.#lease(ahead, { contiguous: this.#lastCells })
    }
    for (const need of needs) this.#leaseFor(need)
  }

  /** Ends every wait. */
  fail(reason: unknown): void {
    this.#line.fail(reason)
  }

  /** What waits though it is under lease, because of a reserve for instance, gains nothing from more. */
  #leaseFor(need: Need): void {
    const { book } = this.#options
    const { contiguous, trustClasses } = need
    const missing = need.cells + this.#aheadCells() - book.cellsInPieces(contiguous, this.#servesClasses(trustClasses))
    if (missing > 0) this.#lease(missing, { contiguous, trustClasses })
    else this.#options.findMore(trustClasses)
  }

  #lease(cells: number, { contiguous, trustClasses }: Omit<Need, 'cells'>): void {
    const { lessee, findMore, logger } = this.#options
    lessee.request(cells, contiguous, trustClasses).then(
      () => {
        if (this.#line.length > 0) findMore(trustClasses)
      },
      error => logger.error({ err: String(error) }, 'No lease could be asked for'),
    )
  }

  /** Blocks of these classes of which nothing is held back: held cells are no stock, under lease or not. */
  #servesClasses(trustClasses: readonly TrustClass[] | undefined): ((block: bigint) => boolean) | undefined {
    const { ledger } = this.#options
    const { holds } = ledger
    const isOfClass = (block: bigint) => trustClasses?.includes(ledger.block(block)?.trustClass as TrustClass) !== false
    if (holds.isOpen) return block => isOfClass(block) && !holds.has(block)
    return trustClasses && isOfClass
  }

  /** Which blocks a request may have keys of; undefined for all. */
  #serves(request: ClassesAndReserve): ((block: bigint) => boolean) | undefined {
    const { holds } = this.#options.ledger
    const ofClass = this.#servesClasses(request.trustClasses)
    if (!holds.isOpen) return ofClass
    const key = { saeIds: takersOf(request) }
    return block => ofClass?.(block) !== false && !holds.has(block, key)
  }

  /** Why a request waits that can't be served from a stock that is not empty. */
  #heldBy({ trustClasses, reservedCells = 0 }: ClassesAndReserve, cells: number): Held {
    const { book, lessee } = this.#options
    if (trustClasses !== undefined) {
      const ofClass = book.cellsInPieces(1, this.#servesClasses(trustClasses)) + lessee.unleasedCells(trustClasses)
      if (ofClass < cells) return 'class'
    }
    return reservedCells > 0 && this.issuableCells - cells < reservedCells ? 'reserve' : undefined
  }

  /** A second of demand, at least a handful and at most a hundredth of the stock: it is what a crash burns. */
  #aheadCells(): number {
    const cap = Math.max(MIN_LEASE_CELLS, Math.floor(this.issuableCells / 100))
    return Math.max(MIN_LEASE_CELLS, Math.min(Math.ceil(this.cellsPerSecond), cap))
  }

  async #wait(attempt: () => CellRange[] | undefined, request: IssueRequest, cells: number): Promise<CellRange[]> {
    const { ledger, monotonicMs, onWaited } = this.#options
    const { number, waitMs, signal, priority = 0, pair } = request
    const sinceMs = monotonicMs()
    const need = { cells: cells * number, contiguous: cells, trustClasses: request.trustClasses }
    const heldBy = () => this.#heldBy(request, need.cells)
    const waiting = this.#line.wait(attempt, { need, heldBy, priority, saeId: pair.masterSaeId, waitMs, signal })
    this.leaseAhead()
    const places = await waiting
    const waitedMs = monotonicMs() - sinceMs
    onWaited?.(waitedMs)
    ledger.telemetry.emit({ type: 'request-waited', peerSiteId: ledger.remoteSiteId, waitMs: waitedMs })
    if (places === undefined) throw this.#exhausted(number, cells)
    return places
  }

  /** The places of all keys at once, or nothing. */
  #attempt(request: Pick<IssueRequest, 'number'> & ClassesAndReserve, cells: number): CellRange[] | undefined {
    const { book, monotonicMs } = this.#options
    const { number, reservedCells = 0 } = request
    if (reservedCells > 0 && this.issuableCells - cells * number < reservedCells) return undefined
    const nowMs = monotonicMs()
    const serves = this.#serves(request)
    const places: CellRange[] = []
    while (places.length < number) {
      const place = book.take(cells, nowMs, serves)
      if (place === undefined) {
        for (const back of places.reverse()) book.giveBack(back)
        return undefined
      }
      places.push(place)
    }
    return places
  }

  /** Says what leaves, then lets it leave: what could not be said goes back to the lease of this process. */
  async #keysAt(places: readonly CellRange[], request: IssueRequest): Promise<Key[]> {
    const { book } = this.#options
    let named: NamedKey[]
    try {
      named = places.map(place => this.#name(place, request))
      await request.audit?.(named.map(({ label, context }) => originOf(label, context.selection)))
      // What came to be held meanwhile stays; nothing waits from here to the bytes.
      for (const { block } of places) this.#options.ledger.holds.requireFree(block, { saeIds: takersOf(request) })
    } catch (error) {
      for (const place of [...places].reverse()) book.giveBack(place)
      this.serve()
      throw error
    }
    return this.#takeOut(places, named, request)
  }

  /** Row 14: the bytes leave the book. A block that died meanwhile, or a lease that ended, burns all of the request. */
  #takeOut(places: readonly CellRange[], named: readonly NamedKey[], request: IssueRequest): Key[] {
    const { book, monotonicMs } = this.#options
    const nowMs = monotonicMs()
    const secrets = places.map((place, at) => book.keyAt(place, nowMs, material => keyOf(material, named[at]!.context)))
    const keys = secrets.flatMap((secret, at) => (secret === undefined ? [] : [{ ...named[at]!.label, secret }]))
    if (keys.length === places.length) return keys
    for (const { secret } of keys) secret.wipe()
    throw this.#exhausted(request.number, places[0]!.cells)
  }

  #name({ block, offset, cells }: CellRange, request: IssueRequest): NamedKey {
    const { ledger } = this.#options
    const { pair, sizeBytes, suite } = request
    const selection: Selection = { suite, block, offset, sizeBytes }
    const keyId = sealKeyId(ledger.secret!.seal.toSeal(ledger.localSiteId), pair, selection)
    const trustClass = ledger.block(block)?.trustClass
    // It died in the turn between the line and here.
    if (trustClass === undefined) throw this.#exhausted(request.number, cells)
    const context = { poolId: ledger.poolId, issuerSiteId: ledger.localSiteId, pair, trustClass, selection }
    return { label: { keyId, sizeBits: sizeBytes * 8, level: levelOf(suite), trustClass }, context }
  }

  #exhausted(number: number, cells: number): PoolExhaustedError {
    const { ledger, isConnected } = this.#options
    const available = Math.floor(this.issuableCells / cells)
    const why = isConnected() ? 'not enough key in the pool' : 'no key under lease while the peer KMS is away'
    return new PoolExhaustedError(`No key for ${ledger.remoteSiteId}: ${why}`, {
      details: [{ key_count_requested: number, key_count_available: available }],
      retryAfterMs: 1000,
    })
  }
}

/** What the audit log says of a key. Written out, not spread: this stands on the path of every key. */
function originOf({ keyId, sizeBits, level, trustClass }: KeyLabel, { block, suite }: Selection): KeyLabel {
  return { keyId, sizeBits, level, trustClass, block, suite }
}

function takersOf({ pair, saeIds }: Takers): readonly string[] {
  return saeIds ?? (pair === undefined ? [] : [pair.masterSaeId, pair.slaveSaeId])
}
