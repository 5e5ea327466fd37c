import type { BlockRecord } from '../../interface/pool-store.ts'
import { type BlockTags, blockTags, macCellsOf } from '../../key/block-tag.ts'
import { PAYLOAD_CELLS } from '../../key/cells.ts'
import type { SecretKey } from '../../key/secret-key.ts'
import { isVirtual } from '../../key/virtual-block.ts'
import type { BlockLedger } from './block-ledger.ts'

/** What the tags of a block are computed with. */
export interface BlockTaggerOptions {
  readonly ledger: BlockLedger
  /** Material of a block that was received a moment ago, so that it need not be read back; it stays with who gives it. */
  readonly materialOf: (number: bigint) => SecretKey | undefined
}

/** The one-time tags by which two sites compare a block (rows 3, 4 and 6): each is authenticated by cells of an earlier block. */
export class BlockTagger {
  readonly #options: BlockTaggerOptions

  constructor(options: BlockTaggerOptions) {
    this.#options = options
  }

  /**
   * An own block with its tags: computed once, with cells of an earlier block spent durably before they are used. Undefined where
   * the store has other rows by now, or the sites have no secret.
   */
  async tagOwn(block: BlockRecord): Promise<BlockRecord | undefined> {
    if (block.tags.length > 0) return block
    const { ledger } = this.#options
    if (ledger.secret === undefined) return undefined
    const source = this.#macSource(block)
    const tags = await this.tags(block, source)
    const { number, grant } = block
    const patch = { tags: Buffer.concat([tags.owner, tags.retriever]), macBlock: source?.number ?? 0n }
    // Refused where the peer owns `source` by now: which block its cells authenticate is the peer's to choose.
    const result = await ledger.commit([
      ...(source === undefined ? [] : [{ kind: 'spend-mac' as const, number: source.number, from: 'active' as const }]),
      { kind: 'move', number, grant, from: ['received'], to: 'received', patch },
    ])
    return result.ok ? ledger.block(number) : undefined
  }

  /** Both sites' tags of a block, under the cells of `source`. */
  async tags(block: BlockRecord, source: BlockRecord | undefined): Promise<BlockTags> {
    const { ledger, materialOf } = this.#options
    const macCells = source === undefined ? undefined : await this.#macCells(source)
    const held = materialOf(block.number)
    const material = held ?? (await ledger.open(block))
    try {
      const { number, trustClass, relays, ownerSiteId } = block
      const { poolId, secret } = ledger
      return blockTags(
        secret!.root,
        macCells,
        { poolId, number, trustClass, relays, ownerSiteId, epoch: secret!.seal.number },
        material,
      )
    } finally {
      macCells?.wipe()
      if (held === undefined) material.wipe()
    }
  }

  /**
   * An own active block of the same class that is not fully leased: the peer surely still has it. None for relayed
   * blocks, whose cells every relay knows, and for virtual ones, which no relay has carried.
   */
  #macSource(block: BlockRecord): BlockRecord | undefined {
    const { ledger } = this.#options
    if (block.trustClass === 'relayed' || isVirtual(block)) return undefined
    for (const source of ledger.blocks()) {
      if (isVirtual(source)) continue
      const fits = source.state === 'active' && !source.macSpent && source.trustClass === block.trustClass
      if (fits && ledger.owns(source) && source.lease < PAYLOAD_CELLS) return source
    }
    return undefined
  }

  async #macCells(source: BlockRecord): Promise<SecretKey> {
    const material = await this.#options.ledger.open(source)
    try {
      return macCellsOf(material)
    } finally {
      material.wipe()
    }
  }
}
