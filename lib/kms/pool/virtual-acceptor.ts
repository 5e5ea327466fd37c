import type { BlockRecord, Change } from '../../interface/pool-store.ts'
import { CELL_BYTES, PAYLOAD_CELLS, readCells } from '../../key/cells.ts'
import type { SecretKey } from '../../key/secret-key.ts'
import { blockKind, expandSeed, postQuantumCells, type VirtualContext } from '../../key/virtual-block.ts'
import { StandingAlarms } from '../standing-alarms.ts'
import { isClear, withSet } from '../store/bitmap.ts'
import { BITMAP_BYTES, newBlockRecord } from '../store/block-record.ts'
import { isSpent } from '../store/number-floor.ts'
import type { BlockLedger } from './block-ledger.ts'
import type { BlockVerifier } from './block-verifier.ts'
import { inheritedWay } from './block-way.ts'
import type { MessageHandlers } from './peer-session.ts'
import type { MessageFields, PeerMessage } from './peer-wire.ts'
import type { Retriever } from './retriever.ts'
import type { VirtualTerms } from './virtual-opener.ts'

/** Virtual blocks of the peer that may live at a time: a bound on what it makes us keep. */
const MAX_LIVE = 1024

/** What the acceptor works on and with. */
export interface VirtualAcceptorOptions {
  readonly ledger: BlockLedger
  readonly verifier: BlockVerifier
  readonly retriever: Retriever
  readonly terms: VirtualTerms
  readonly send: (message: PeerMessage) => void
}

/**
 * The retriever's side of row 30: this site's own policy decides whether keys of that level may be, and how many one seed may
 * give. A block that is refused consumes nothing here; one that is taken burns its seed in the same commit.
 */
export class VirtualAcceptor {
  readonly #options: VirtualAcceptorOptions
  readonly #alarms: StandingAlarms

  constructor(options: VirtualAcceptorOptions) {
    this.#options = options
    const { telemetry, pair } = options.ledger
    this.#alarms = new StandingAlarms({ telemetry, scope: pair.name })
  }

  readonly handlers: MessageHandlers = {
    open: message => this.#onOpen(message),
  }

  async #onOpen(message: MessageFields<'open'>): Promise<void> {
    const { ledger, retriever, send, verifier } = this.#options
    const { block: number, seedBlock, seedOffset } = message
    // Said twice: what is to be said of it goes with its tag.
    if (ledger.block(number) !== undefined) return
    const source = blockKind(number) === 'expanded' ? ledger.block(seedBlock) : undefined
    if (blockKind(number) === 'post-quantum' && message.epoch !== ledger.pool.sealEpoch) {
      // The pair secret has moved on meanwhile: no fault of anybody's.
      send({ name: 'drop', block: number, grant: 0, reason: 'the pair secret is of another epoch' })
      return
    }
    const why = this.#refusalOf(message, source)
    if (why !== undefined) {
      this.#refuse(number, why)
      return
    }
    const burnSeed: Change[] =
      source === undefined
        ? []
        : [{ kind: 'consume', number: seedBlock, ownerSiteId: ledger.remoteSiteId, offset: seedOffset, cells: 1 }]
    const record = recordOf(message, source, ledger.remoteSiteId)
    const material = await this.#materialOf(message, source)
    const way = inheritedWay(ledger, number, { block: seedBlock, offset: seedOffset })
    const block = await verifier.takeIn(record, material, { row: 30, also: [...burnSeed, ...way] })
    if (block === 'refused') {
      this.#refuse(number, 'its seed or its number is spent')
      return
    }
    this.#alarms.clear(alarmName(number))
    if (source !== undefined) retriever.forgetCell(seedBlock, seedOffset)
  }

  #refuse(number: bigint, why: string): void {
    const { ledger, send } = this.#options
    const text = `A block for keys of level ${blockKind(number)} of ${ledger.remoteSiteId} was refused: ${why}`
    this.#alarms.raise(alarmName(number), { severity: 'minor', text })
    send({ name: 'drop', block: number, grant: 0, reason: why })
  }

  /** What stands against the peer's block; nothing was consumed. */
  #refusalOf(
    { block: number, cells, seedOffset }: MessageFields<'open'>,
    source: BlockRecord | undefined,
  ): string | undefined {
    const { ledger, terms } = this.#options
    const kind = blockKind(number)
    if (kind === 'network' || ledger.pair.siteIds[Number(number % 2n)] !== ledger.remoteSiteId)
      return 'the number is not one of a virtual block of the peer'
    if (isSpent(ledger.pool, number)) return 'its number is spent'
    if (!terms.allows(kind)) return `the policy takes no keys of level ${kind}`
    const budget = terms.cellsPerBlock()
    if (cells < 1 || cells > budget) return `it has ${cells} cells; the policy allows ${budget}`
    if (this.#live() >= MAX_LIVE) return `${MAX_LIVE} virtual blocks of the peer live already`
    if (kind === 'post-quantum') return undefined
    const isSeed =
      source !== undefined &&
      blockKind(source.number) === 'network' &&
      source.state === 'ready' &&
      !ledger.owns(source) &&
      seedOffset < source.horizon &&
      isClear(source.consumed, seedOffset, seedOffset + 1)
    return isSeed ? undefined : 'its seed is not a cell under lease, or is spent'
  }

  async #materialOf(
    { block, cells, seedOffset, epoch }: MessageFields<'open'>,
    source: BlockRecord | undefined,
  ): Promise<SecretKey> {
    const { ledger } = this.#options
    const trustClass = source?.trustClass ?? 'post-quantum'
    const context: VirtualContext = { poolId: ledger.poolId, block, trustClass, cells }
    if (source === undefined) return postQuantumCells(ledger.secret!.root, epoch, context)
    const material = await ledger.open(source)
    try {
      const seed = readCells(material, seedOffset, CELL_BYTES)
      try {
        return expandSeed(seed, { block: source.number, offset: seedOffset }, context)
      } finally {
        seed.wipe()
      }
    } finally {
      material.wipe()
    }
  }

  #live(): number {
    const { ledger } = this.#options
    let count = 0
    for (const block of ledger.blocks()) if (!ledger.owns(block) && blockKind(block.number) !== 'network') count++
    return count
  }
}

/** The peer's block as it is born here: what lies before its cells counts as acknowledged and consumed. */
function recordOf(
  { block: number, cells }: MessageFields<'open'>,
  source: BlockRecord | undefined,
  ownerSiteId: string,
): BlockRecord {
  const horizon = PAYLOAD_CELLS - cells
  return newBlockRecord({
    number,
    ownerSiteId,
    trustClass: source?.trustClass ?? 'post-quantum',
    relays: source?.relays ?? [],
    slot: -1,
    horizon,
    consumed: withSet(new Uint8Array(BITMAP_BYTES), 0, horizon),
  })
}

function alarmName(number: bigint): string {
  return `virtual-block-refused:${blockKind(number)}`
}
