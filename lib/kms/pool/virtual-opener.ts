import type { TrustClass } from '../../interface/kms.ts'
import type { Logger } from '../../interface/logger.ts'
import type { BlockRecord } from '../../interface/pool-store.ts'
import { CELL_BYTES, PAYLOAD_CELLS, readCells } from '../../key/cells.ts'
import type { SecretKey } from '../../key/secret-key.ts'
import {
  blockKind,
  expandSeed,
  firstSequence,
  postQuantumCells,
  type VirtualContext,
  type VirtualKind,
  virtualNumber,
} from '../../key/virtual-block.ts'
import { StandingAlarms } from '../standing-alarms.ts'
import { newBlockRecord } from '../store/block-record.ts'
import type { BlockLedger } from './block-ledger.ts'
import type { BlockVerifier } from './block-verifier.ts'
import { inheritedWay } from './block-way.ts'
import type { CellRange } from './lease-book.ts'
import type { MessageFields, PeerMessage } from './peer-wire.ts'
import type { Supply } from './supply.ts'

/** How long no block of a kind is opened after the peer refused one, and at most after many: each costs a seed. */
const PAUSE_MS = { first: 5000, longest: 600_000 }
/** How long a seed may be waited for before the next look at who needs it. */
const SEED_WAIT_MS = 5000
const BETTER_SEEDS: readonly TrustClass[] = ['direct', 'split']
const KINDS: readonly VirtualKind[] = ['expanded', 'post-quantum']

/** What the policy of this site holds for virtual blocks with one peer. */
export interface VirtualTerms {
  /** True where some pair of hosts may have keys of this level. */
  allows(level: VirtualKind): boolean
  /** Cells that one seed, or one block of the pair secret, may give: 1 to 998. */
  cellsPerBlock(): number
}

/** A policy that knows no such levels. */
export const NO_VIRTUAL_BLOCKS: VirtualTerms = { allows: () => false, cellsPerBlock: () => 1 }

/** What the opener works on and with. */
export interface VirtualOpenerOptions {
  readonly ledger: BlockLedger
  readonly verifier: BlockVerifier
  /** Where seeds come from. */
  readonly network: Supply
  readonly supplyOf: (kind: VirtualKind) => Supply
  readonly terms: VirtualTerms
  readonly send: (message: PeerMessage) => void
  readonly isConnected: () => boolean
  readonly monotonicMs: () => number
  readonly logger: Logger
}

/** Makes the cells of a block once its number is known. */
type Maker = (
  number: bigint,
) => { context: VirtualContext; material: SecretKey } & Pick<
  MessageFields<'open'>,
  'seedBlock' | 'seedOffset' | 'epoch'
>

/**
 * The owner's side of row 30. A block of kind `expanded` grows from one cell under lease, which is burned by that; one of kind
 * `post-quantum` from the pair secret and its own number. The peer checks its policy, and both make the same block. What follows
 * is the life of any block: tags, leases, consumed bits, expiry.
 */
export class VirtualOpener {
  readonly #options: VirtualOpenerOptions
  readonly #alarms: StandingAlarms
  readonly #opening = new Set<VirtualKind>()
  /** Own blocks that the peer has not taken yet, with the epoch of the pair secret in which they were opened. */
  readonly #unproven = new Map<bigint, number>()
  readonly #pauses = new Map<VirtualKind, { readonly untilMs: number; readonly lengthMs: number }>()
  readonly #abort = new AbortController()
  /** One at a time: numbers ascend, on the disk and on the wire. */
  #turn: Promise<void> = Promise.resolve()

  constructor(options: VirtualOpenerOptions) {
    this.#options = options
    const { ledger } = options
    this.#alarms = new StandingAlarms({ telemetry: ledger.telemetry, scope: ledger.pair.name })
    ledger.onDeath(number => this.#onDeath(number))
  }

  /** Keeps a block of each allowed kind open ahead: once the pool is dry there is no cell to grow one from. */
  sweep(): void {
    const { terms, supplyOf } = this.#options
    for (const kind of KINDS) {
      if (!terms.allows(kind) || supplyOf(kind).issuer.issuableCells >= terms.cellsPerBlock() / 2) continue
      this.#start(kind, { waitMs: 0 })
    }
  }

  /** Somebody waits for keys of that kind, and may take those of these classes. */
  findMore(kind: VirtualKind, trustClasses: readonly TrustClass[] | undefined): void {
    const { ledger, terms } = this.#options
    if (!terms.allows(kind)) return
    for (const block of this.#ownOf(kind)) {
      const isUsable = block.state === 'active' && block.lease < PAYLOAD_CELLS
      if (isUsable && trustClasses?.includes(block.trustClass) !== false) return
    }
    if (ledger.secret !== undefined) this.#start(kind, { waitMs: SEED_WAIT_MS, trustClasses })
  }

  /** A new session: what the last one refused may be had now. */
  resume(): void {
    this.#pauses.clear()
  }

  /** The peer holds the same block: keys may be issued. */
  proven({ number }: BlockRecord): void {
    const kind = blockKind(number)
    if (!this.#unproven.delete(number) || kind === 'network') return
    this.#pauses.delete(kind)
    this.#alarms.clear(alarmName(number))
  }

  /** Opens nothing more; resolves when what was begun has ended. */
  async close(): Promise<void> {
    this.#abort.abort()
    await this.#turn
  }

  #start(kind: VirtualKind, need: { waitMs: number; trustClasses?: readonly TrustClass[] | undefined }): void {
    const { isConnected, logger, monotonicMs } = this.#options
    if (!isConnected() || this.#opening.has(kind) || (this.#pauses.get(kind)?.untilMs ?? 0) > monotonicMs()) return
    for (const { state } of this.#ownOf(kind)) if (state === 'received') return
    this.#opening.add(kind)
    this.#open(kind, need)
      .catch(error => {
        if (!this.#abort.signal.aborted) logger.error({ kind, err: String(error) }, 'No virtual block could be opened')
      })
      .finally(() => this.#opening.delete(kind))
  }

  async #open(
    kind: VirtualKind,
    { waitMs, trustClasses }: { waitMs: number; trustClasses?: readonly TrustClass[] | undefined },
  ): Promise<void> {
    const { ledger, network, terms } = this.#options
    const cells = terms.cellsPerBlock()
    if (kind === 'expanded') {
      const signal = this.#abort.signal
      // The best class that is at hand serves every policy; any does where there is no better one.
      let place: CellRange | undefined
      if (trustClasses === undefined)
        for (const better of BETTER_SEEDS)
          place ??= await network.issuer.takeCell({ waitMs: 0, trustClasses: [better], signal })
      place ??= await network.issuer.takeCell({ waitMs, trustClasses, signal })
      if (place !== undefined) await this.#grow(place, cells)
    } else if (trustClasses?.includes('post-quantum') !== false) {
      await this.#announce(kind, [], block => {
        const context: VirtualContext = { poolId: ledger.poolId, block, trustClass: 'post-quantum', cells }
        const epoch = ledger.pool.sealEpoch
        const material = postQuantumCells(ledger.secret!.root, epoch, context)
        return { context, material, seedBlock: 0n, seedOffset: 0, epoch }
      })
    }
  }

  /** Once the seed has left the book it is burned, whatever comes of it: the lease that it stood under is durable. */
  async #grow(place: CellRange, cells: number): Promise<void> {
    const { ledger, network, monotonicMs } = this.#options
    const { block: seedBlock, offset } = place
    const source = ledger.block(seedBlock)
    const seed = network.book.keyAt(place, monotonicMs(), material => readCells(material, offset, CELL_BYTES))
    if (seed === undefined) return
    try {
      const peerSiteId = ledger.remoteSiteId
      ledger.telemetry.emit({ type: 'cells-burned', peerSiteId, cells: 1, reason: 'a seed of expanded keys' })
      // It died in the turn between the line and here.
      if (source === undefined) return
      const { poolId } = ledger
      const { trustClass, relays } = source
      await this.#announce('expanded', relays, block => {
        const context: VirtualContext = { poolId, block, trustClass, cells }
        const material = expandSeed(seed, { block: seedBlock, offset }, context)
        return { context, material, seedBlock, seedOffset: offset, epoch: 0 }
      })
    } finally {
      seed.wipe()
    }
  }

  #announce(kind: VirtualKind, relays: readonly string[], make: Maker): Promise<void> {
    const turn = this.#turn.then(() => this.#announceNow(kind, relays, make))
    this.#turn = turn.catch(() => {})
    return turn
  }

  async #announceNow(kind: VirtualKind, relays: readonly string[], make: Maker): Promise<void> {
    const { ledger, verifier, send } = this.#options
    const number = this.#nextNumber(kind)
    const { context, material, ...origin } = make(number)
    const { trustClass, cells } = context
    // Its cells stand at the end, so that leasing ends where it does in any block.
    const lease = PAYLOAD_CELLS - cells
    const ownerSiteId = ledger.localSiteId
    const record = newBlockRecord({ number, ownerSiteId, trustClass, relays, slot: -1, lease })
    const also = inheritedWay(ledger, number, { block: origin.seedBlock, offset: origin.seedOffset })
    const block = await verifier.takeIn(record, material, { row: 30, also })
    if (typeof block === 'string') return
    this.#unproven.set(number, ledger.pool.sealEpoch)
    send({ name: 'open', block: number, cells, ...origin })
    await verifier.sendTag(block)
  }

  #nextNumber(kind: VirtualKind): bigint {
    const { localSiteId, pair, pool } = this.#options.ledger
    const lane = localSiteId === pair.siteIds[0] ? 0 : 1
    const last = pool.virtualFloors[lane]
    const first = firstSequence(pool.poolEpoch)
    return virtualNumber(kind, lane, (last > first ? last : first) + 1n)
  }

  *#ownOf(kind: VirtualKind): Generator<BlockRecord> {
    const { ledger } = this.#options
    for (const block of ledger.blocks()) if (blockKind(block.number) === kind && ledger.owns(block)) yield block
  }

  #onDeath(number: bigint): void {
    const kind = blockKind(number)
    const epoch = this.#unproven.get(number)
    this.#unproven.delete(number)
    // What a new epoch of the pair secret overtakes is opened anew at once.
    if (epoch !== this.#options.ledger.pool.sealEpoch || kind === 'network') return
    const lengthMs = Math.min(2 * (this.#pauses.get(kind)?.lengthMs ?? PAUSE_MS.first / 2), PAUSE_MS.longest)
    this.#pauses.set(kind, { untilMs: this.#options.monotonicMs() + lengthMs, lengthMs })
    const text = `${this.#options.ledger.remoteSiteId} took no block for keys of level ${kind}`
    this.#alarms.raise(alarmName(number), { severity: 'minor', text })
  }
}

function alarmName(number: bigint): string {
  return `virtual-block-refused-by-peer:${blockKind(number)}`
}
