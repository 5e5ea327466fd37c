import type { TrustClass } from '../../interface/kms.ts'
import type { BlockRecord } from '../../interface/pool-store.ts'
import { PAYLOAD_CELLS } from '../../key/cells.ts'
import { type BlockKind, blockKind } from '../../key/virtual-block.ts'

/** The blocks of one kind that have cells to lease, and how many cells by class. */
interface Stock {
  readonly blocks: Map<bigint, BlockRecord>
  readonly cells: Map<TrustClass, number>
}

/**
 * The own blocks that have cells to lease, of the rows as they come and go. Every request asks how many there are, and a
 * pool has ten thousand blocks: to count them then would cost more than the key.
 */
export class UnleasedBlocks {
  readonly #localSiteId: string
  readonly #stocks: Readonly<Record<BlockKind, Stock>> = {
    network: emptyStock(),
    expanded: emptyStock(),
    'post-quantum': emptyStock(),
  }

  constructor(localSiteId: string) {
    this.#localSiteId = localSiteId
  }

  /** Enters a row, or a newer one of the same block. */
  set(block: BlockRecord): void {
    this.delete(block.number)
    if (block.state !== 'active' || block.ownerSiteId !== this.#localSiteId || block.lease >= PAYLOAD_CELLS) return
    const stock = this.#stocks[blockKind(block.number)]
    stock.blocks.set(block.number, block)
    count(stock, block, 1)
  }

  delete(number: bigint): void {
    const stock = this.#stocks[blockKind(number)]
    const block = stock.blocks.get(number)
    if (block === undefined) return
    stock.blocks.delete(number)
    count(stock, block, -1)
  }

  /** The blocks of a kind, in no order that matters. */
  blocks(kind: BlockKind): IterableIterator<BlockRecord> {
    return this.#stocks[kind].blocks.values()
  }

  /** Cells of a kind that are not under lease; of these classes, where some are given. */
  cells(kind: BlockKind, trustClasses?: readonly TrustClass[]): number {
    let cells = 0
    for (const [trustClass, ofClass] of this.#stocks[kind].cells)
      if (trustClasses?.includes(trustClass) !== false) cells += ofClass
    return cells
  }
}

function emptyStock(): Stock {
  return { blocks: new Map(), cells: new Map() }
}

function count({ cells }: Stock, { trustClass, lease }: BlockRecord, sign: 1 | -1): void {
  cells.set(trustClass, (cells.get(trustClass) ?? 0) + sign * (PAYLOAD_CELLS - lease))
}
