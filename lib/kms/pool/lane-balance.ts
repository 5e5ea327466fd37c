import type { BlockRecord } from '../../interface/pool-store.ts'
import { PAYLOAD_CELLS } from '../../key/cells.ts'
import { blockKind } from '../../key/virtual-block.ts'
import type { BlockLedger } from './block-ledger.ts'
import { pacedBlocks } from './paced-blocks.ts'
import type { MessageHandlers } from './peer-session.ts'
import type { MessageFields, PeerMessage } from './peer-wire.ts'

/** Each side keeps at least this share of the blocks that can be issued from, whatever is asked of it. */
const KEPT_SHARE = 0.25

/** What the balance works on and with. */
export interface LaneBalanceOptions {
  readonly ledger: BlockLedger
  readonly send: (message: PeerMessage) => void
  /** Resolves once what was sent so far has gone out. */
  readonly drained: () => Promise<void>
  readonly onChange: () => void
  /** This side's part of what both lanes should hold by their demand, 0 to 1; undefined while there is none. */
  readonly ownShare: () => number | undefined
}

/**
 * Moves whole unused blocks to the side whose hosts ask more (rows 20 to 22). The giver releases durably before it
 * says so, repeats itself until acknowledged, and never takes back; the new owner checks that nothing of the block was
 * ever leased or given.
 */
export class LaneBalance {
  readonly #options: LaneBalanceOptions

  constructor(options: LaneBalanceOptions) {
    this.#options = options
  }

  readonly handlers: MessageHandlers = {
    grantAsk: message => this.#onGrantAsk(message),
    grant: message => this.#onGrant(message),
    grantOk: () => {},
    grantNo: message => this.#onGrantNo(message),
  }

  /** Blocks with cells left to lease, by side. */
  stock(): { own: number; peers: number } {
    let [own, peers] = [0, 0]
    for (const block of this.#options.ledger.blocks()) {
      // Each side opens virtual blocks for itself.
      if (blockKind(block.number) !== 'network' || this.#options.ledger.holds.has(block.number)) continue
      if (block.state === 'active' && block.lease < PAYLOAD_CELLS) own++
      else if (block.state === 'ready' && block.horizon < PAYLOAD_CELLS) peers++
    }
    return { own, peers }
  }

  /** Asks for blocks where this side is short of them and the other is not: both by what is asked of them. */
  ask(): void {
    const { own, peers } = this.stock()
    if (peers < 2) return
    const all = own + peers
    const fair = all * (this.#demandShare() ?? 0.5)
    // A block or less from what is fair both sides stay as they are: it would go to and fro.
    const isShort = own < Math.max(2, all * KEPT_SHARE) || own < fair - 1
    if (isShort && fair > own) this.#options.send({ name: 'grantAsk', blocks: Math.ceil(fair - own) })
  }

  /** Repeats the grants that may have been lost: of blocks given away, and not used by their new owner so far. */
  async resume(): Promise<void> {
    const { ledger, send, drained } = this.#options
    for await (const block of pacedBlocks(ledger, drained)) {
      if (block.grant > 0 && block.state === 'ready' && !ledger.owns(block) && block.horizon === 0) {
        send({ name: 'grant', block: block.number, grant: block.grant })
      }
    }
  }

  /** The part of all blocks that this side's demand is worth; undefined where nobody asks at either. */
  #demandShare(): number | undefined {
    const share = this.#options.ownShare()
    return share === undefined ? undefined : Math.min(1 - KEPT_SHARE, Math.max(KEPT_SHARE, share))
  }

  async #onGrantAsk({ blocks }: MessageFields<'grantAsk'>): Promise<void> {
    const { ledger, send } = this.#options
    const { own, peers } = this.stock()
    // Where this side sees no demand at all, the other's word is enough down to the least share.
    const kept = (own + peers) * Math.min(this.#demandShare() ?? KEPT_SHARE, 0.5)
    const surplus = own - Math.max(1, Math.ceil(kept))
    const unused = [...ledger.blocks()].filter(
      block =>
        block.state === 'active' &&
        blockKind(block.number) === 'network' &&
        ledger.owns(block) &&
        block.lease === 0 &&
        !block.macSpent,
    )
    for (const block of unused.slice(0, Math.max(0, Math.min(blocks, surplus)))) {
      const grant = block.grant + 1
      const { number } = block
      if (await ledger.give(block, { row: 20, grant, ownerSiteId: ledger.remoteSiteId }))
        send({ name: 'grant', block: number, grant })
    }
  }

  async #onGrant({ block: number, grant }: MessageFields<'grant'>): Promise<void> {
    const { ledger, send, onChange } = this.#options
    const block = ledger.block(number)
    const isOfNetwork = blockKind(number) === 'network'
    const fresh = isOfNetwork && block?.state === 'ready' && !ledger.owns(block) && block.grant < grant
    const taken = fresh && (await ledger.give(block, { row: 21, grant, ownerSiteId: ledger.localSiteId }))
    // Row 22: the same grant again is acknowledged again.
    if (taken || isHolderOf(block, grant, ledger)) send({ name: 'grantOk', block: number, grant })
    else send({ name: 'grantNo', block: number, grant: block?.grant ?? 0 })
    if (taken) onChange()
  }

  #onGrantNo({ block, grant }: MessageFields<'grantNo'>): void {
    const { ledger } = this.#options
    const held = ledger.block(block)
    // A block that its new owner has used up and erased is answered like one it never had.
    if (held === undefined || held.horizon > 0) return
    ledger.telemetry.emit({
      type: 'alarm',
      id: `grant-refused:${ledger.pair.name}`,
      severity: 'minor',
      state: 'raised',
      text: `${ledger.remoteSiteId} refused block ${block}, which it holds under grant ${grant}`,
    })
  }
}

function isHolderOf(block: BlockRecord | undefined, grant: number, ledger: BlockLedger): boolean {
  return block !== undefined && ledger.owns(block) && block.grant === grant
}
