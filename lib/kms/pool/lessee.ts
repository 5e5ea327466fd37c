import { randomBytes } from 'node:crypto'
import { StoreError } from '../../errors.ts'
import type { TrustClass } from '../../interface/kms.ts'
import type { BlockRecord } from '../../interface/pool-store.ts'
import { PAYLOAD_CELLS } from '../../key/cells.ts'
import type { SecretKey } from '../../key/secret-key.ts'
import { type BlockKind, blockKind } from '../../key/virtual-block.ts'
import type { BlockLedger } from './block-ledger.ts'
import type { LeaseBook } from './lease-book.ts'
import type { MessageHandlers } from './peer-session.ts'
import { type MessageFields, NONCE_BYTES, type PeerMessage } from './peer-wire.ts'

/** How long a lease lives from the moment its request is sent: T of the pool's rules. */
export const LEASE_LIFE_MS = 60_000
const RENEW_BEFORE_MS = 10_000
const ANSWER_TIMEOUT_MS = 5000
/** Blocks held in memory to issue from; beyond, the rest of the oldest is burned. */
const MAX_OPEN_BLOCKS = 32
/** Blocks with a request under way at once. */
const MAX_REQUESTS = 4

interface Request {
  readonly block: bigint
  readonly from: number
  readonly to: number
  readonly renewal: boolean
  readonly sentAtMs: number
}

/** What the lessee works on and with. */
export interface LesseeOptions {
  /** The blocks that it leases from. */
  readonly kind: BlockKind
  readonly ledger: BlockLedger
  readonly book: LeaseBook
  readonly send: (message: PeerMessage) => void
  readonly isConnected: () => boolean
  readonly monotonicMs: () => number
  /** Called when cells became available, or an attempt to get some has failed. */
  readonly onChange: () => void
}

/**
 * The owner's side of leases (rows 9, 11 to 13, 15 and 19): a range is durable here and acknowledged by the peer before
 * any key of it leaves. An answer counts once, in this process, under the nonce of its request; everything else burns.
 */
export class Lessee {
  readonly #options: LesseeOptions
  readonly #requests = new Map<string, Request>()
  /** Blocks whose reservation is being written. */
  readonly #opening = new Set<bigint>()
  /** Acknowledged requests whose bytes are being read from the store. */
  readonly #reading = new Set<Request>()

  constructor(options: LesseeOptions) {
    this.#options = options
    options.ledger.onDeath(number => {
      this.#burn(options.book.strike(number), 'the block is gone')
      for (const [nonce, request] of this.#requests) if (request.block === number) this.#requests.delete(nonce)
    })
  }

  readonly handlers: MessageHandlers = {
    leaseOk: message => this.#onLeaseOk(message),
    leaseNo: message => this.#onLeaseNo(message),
  }

  /** Cells asked for and not answered yet. */
  get requestedCells(): number {
    let cells = 0
    for (const { from, to, renewal } of this.#requests.values()) if (!renewal) cells += to - from
    return cells
  }

  /** The end of a block's cells whose stored bytes nobody here will read again: given out, in the book, or burned. */
  storedBytesSpentBelow(block: BlockRecord): number {
    if (this.#opening.has(block.number)) return 0
    const wanted = [...this.#requests.values(), ...this.#reading].filter(({ block: number }) => number === block.number)
    return Math.min(block.lease, ...wanted.map(({ from }) => from))
  }

  /** Cells of own blocks that are not under lease yet; of these classes, where some are given. */
  unleasedCells(trustClasses?: readonly TrustClass[]): number {
    const { ledger, kind } = this.#options
    return ledger.unleased.cells(kind, trustClasses)
  }

  /**
   * Row 9: asks for leases until at least `cells` are under way, in pieces of at least `contiguous` where it can, and from blocks
   * of these classes alone where some are given.
   */
  async request(cells: number, contiguous: number, trustClasses?: readonly TrustClass[]): Promise<void> {
    const { ledger, isConnected } = this.#options
    let missing = cells - this.requestedCells
    while (missing > 0 && this.#requests.size + this.#opening.size < MAX_REQUESTS && isConnected()) {
      const block = this.#candidate(contiguous, trustClasses)
      if (block === undefined) return
      const from = block.lease
      const to = Math.min(PAYLOAD_CELLS, from + Math.max(missing, contiguous))
      missing -= to - from
      this.#opening.add(block.number)
      try {
        const { number, grant } = block
        const result = await ledger.commit([
          { kind: 'reserve', number, grant, from, cells: to - from, limit: PAYLOAD_CELLS },
        ])
        if (!result.ok) continue
        const { remoteSiteId: peerSiteId, telemetry } = ledger
        telemetry.emit({ type: 'lease', peerSiteId, block: `${number}`, from, to, side: 'asked' })
        this.#ask({ block: number, from, to, renewal: false }, grant)
      } finally {
        this.#opening.delete(block.number)
      }
    }
  }

  /** Rows 13, 15 and 19 by the clock. */
  async sweep(): Promise<void> {
    const { book, ledger, monotonicMs, isConnected } = this.#options
    const nowMs = monotonicMs()
    for (const [nonce, request] of this.#requests)
      if (nowMs - request.sentAtMs > ANSWER_TIMEOUT_MS) this.#giveUp(nonce, request)
    if (isConnected()) {
      for (const { block, from, to } of book.expiring(nowMs + RENEW_BEFORE_MS)) {
        const record = ledger.block(block)
        const asked = [...this.#requests.values()].some(request => request.renewal && request.block === block)
        // The last cells of a used-up block, too few for the keys that are asked for, would be renewed for ever.
        const isRest = record !== undefined && record.lease >= PAYLOAD_CELLS && book.openBlocks > 1
        if (record !== undefined && !asked && !isRest) this.#ask({ block, from, to, renewal: true }, record.grant)
      }
    }
    const { burnedCells, closed } = book.sweep(nowMs, { maxBlocks: MAX_OPEN_BLOCKS })
    this.#burn(burnedCells, 'the lease ended')
    for (const number of closed) await this.#finish(number)
  }

  /** The session is lost: no answer will come any more. */
  abandon(): void {
    for (const [nonce, request] of [...this.#requests]) this.#giveUp(nonce, request)
  }

  /** Burns what is under lease here, asked for or acknowledged: the peer or this store forgot about it. */
  burnAll(reason: string): void {
    this.abandon()
    // What is being read from the store for the book comes too late.
    this.#reading.clear()
    this.#burn(this.#options.book.burnAll(), reason)
  }

  /** Row 19 for every own block that a crash or a lost answer left fully leased. */
  async finishLeased(): Promise<void> {
    const { kind, ledger } = this.#options
    for (const { number, lease } of [...ledger.blocks()])
      if (lease >= PAYLOAD_CELLS && blockKind(number) === kind) await this.#finish(number)
  }

  /** The own block to lease from next: one that holds the whole of `contiguous` before others, then the oldest. */
  #candidate(contiguous: number, trustClasses: readonly TrustClass[] | undefined): BlockRecord | undefined {
    const { ledger, kind } = this.#options
    const busy = new Set([...this.#opening, ...[...this.#requests.values()].map(request => request.block)])
    const fits = (block: BlockRecord) => PAYLOAD_CELLS - block.lease >= contiguous
    let best: BlockRecord | undefined
    for (const block of ledger.unleased.blocks(kind)) {
      if (busy.has(block.number) || trustClasses?.includes(block.trustClass) === false) continue
      const isBetter = best === undefined || (fits(block) === fits(best) ? block.number < best.number : fits(block))
      if (isBetter) best = block
    }
    return best
  }

  #ask(request: Omit<Request, 'sentAtMs'>, grant: number): void {
    const { send, monotonicMs } = this.#options
    const nonce = randomBytes(NONCE_BYTES)
    this.#requests.set(nonce.toString('hex'), { ...request, sentAtMs: monotonicMs() })
    const { block, from, to } = request
    if (request.renewal) send({ name: 'renew', block, grant, from, to, nonce })
    else send({ name: 'lease', block, grant, from, cells: to - from, nonce })
  }

  async #onLeaseOk({ nonce }: MessageFields<'leaseOk'>): Promise<void> {
    const { book, onChange } = this.#options
    const request = this.#take(nonce)
    if (request === undefined) return
    const deadlineMs = request.sentAtMs + LEASE_LIFE_MS
    if (request.renewal) {
      book.renew(request.block, request.from, request.to, deadlineMs)
      return
    }
    this.#reading.add(request)
    try {
      await this.#open(request, deadlineMs)
    } finally {
      this.#reading.delete(request)
    }
    onChange()
  }

  async #open(request: Request, deadlineMs: number): Promise<void> {
    const { block: number, from, to } = request
    const { ledger, book } = this.#options
    const block = ledger.block(number)
    if (block?.state !== 'active') return
    let material: SecretKey
    try {
      material = await ledger.open(block)
    } catch (error) {
      if (!(error instanceof StoreError)) throw error
      await this.#loseBlock(block, error.message)
      return
    }
    const isWanted = this.#reading.has(request) && ledger.block(number)?.state === 'active'
    if (isWanted) book.add(number, from, to, deadlineMs, material)
    else material.wipe()
  }

  /** One block that does not open is one block lost, at both sites, and not the end of the others. */
  async #loseBlock(block: BlockRecord, why: string): Promise<void> {
    const { ledger, send } = this.#options
    const { number, grant } = block
    ledger.telemetry.emit({
      type: 'alarm',
      id: `block-damaged:${ledger.pair.name}`,
      severity: 'major',
      state: 'raised',
      text: `Block ${number} for ${ledger.remoteSiteId} does not open and is dropped: ${why}`,
    })
    if (await ledger.move(29, block, { reason: 'it does not open' }))
      send({ name: 'drop', block: number, grant, reason: 'damaged' })
  }

  /** Row 11: nothing of the asked range may be used; where the peer is further than we thought, we go there too. */
  async #onLeaseNo({ nonce, horizon, absent }: MessageFields<'leaseNo'>): Promise<void> {
    const { ledger, onChange, send } = this.#options
    const request = this.#take(nonce)
    if (request === undefined || request.renewal) return
    this.#burn(request.to - request.from, 'the lease was refused')
    const block = ledger.block(request.block)
    if (block !== undefined && absent === 1) {
      const { number, grant } = block
      if (await ledger.move(29, block, { reason: 'the peer does not hold it' })) {
        send({ name: 'drop', block: number, grant, reason: 'not held by the peer' })
      }
    } else if (block !== undefined && horizon > block.lease && horizon <= PAYLOAD_CELLS) {
      const { number, grant, lease } = block
      await ledger.commit([
        { kind: 'reserve', number, grant, from: lease, cells: horizon - lease, limit: PAYLOAD_CELLS },
      ])
    }
    await this.#finish(request.block)
    onChange()
  }

  #take(nonce: Uint8Array): Request | undefined {
    const key = Buffer.from(nonce).toString('hex')
    const request = this.#requests.get(key)
    this.#requests.delete(key)
    return request
  }

  #giveUp(nonce: string, { from, to, renewal }: Request): void {
    this.#requests.delete(nonce)
    // A renewal that got no answer leaves the range its old deadline.
    if (renewal) return
    this.#burn(to - from, 'the lease got no answer')
    this.#options.onChange()
  }

  /** Row 19: all leased and nothing of it left to give. */
  async #finish(number: bigint): Promise<void> {
    const { ledger, book, send } = this.#options
    const block = ledger.block(number)
    if (block?.state !== 'active' || !ledger.owns(block) || block.lease < PAYLOAD_CELLS || book.has(number)) return
    const wanted = [...this.#requests.values(), ...this.#reading].some(request => request.block === number)
    if (wanted || this.#opening.has(number)) return
    if (await ledger.move(19, block)) send({ name: 'finished', block: number, grant: block.grant })
  }

  #burn(cells: number, reason: string): void {
    const { ledger } = this.#options
    if (cells > 0) ledger.telemetry.emit({ type: 'cells-burned', peerSiteId: ledger.remoteSiteId, cells, reason })
  }
}
