import type { BlockRecord, Change } from '../../interface/pool-store.ts'
import type { BlockWay, QnlBlock } from '../../interface/qnl.ts'
import { blockKind } from '../../key/virtual-block.ts'
import type { BlockLedger } from './block-ledger.ts'

/**
 * How each block came, as a note of the pool that lives as long as the block: what holds are looked up by after a restart.
 */

const PREFIX = 'way '

/** The way of a block; one that was grown from a cell has that of the cell's block, and says which it was. */
export interface StoredWay extends BlockWay {
  readonly seed?: { readonly block: string; readonly offset: number }
}

/** Written with a block that has come from the network. */
export function wayNote({ number, way }: Pick<QnlBlock, 'number' | 'way'>): Change[] {
  return way === undefined ? [] : [noteOf(number, way)]
}

/** Written with a block that is grown from a cell of another. */
export function inheritedWay(ledger: BlockLedger, number: bigint, seed: { block: bigint; offset: number }): Change[] {
  const source = ledger.block(seed.block)
  if (source === undefined) return []
  const way = wayOf(ledger, source)
  return [noteOf(number, { ...way, seed: { block: `${seed.block}`, offset: seed.offset } })]
}

/** Written when a block is forgotten. */
export function forgetWay(ledger: BlockLedger, number: bigint): Change[] {
  const name = nameOf(number)
  const note = ledger.note(name)
  return note === undefined ? [] : [{ kind: 'note', name, from: note.version, value: undefined }]
}

/** How a block came. Of one from before ways were written down only the relays are known, and no time. */
export function wayOf(ledger: BlockLedger, { number, relays }: Pick<BlockRecord, 'number' | 'relays'>): StoredWay {
  if (blockKind(number) === 'post-quantum') return NOWHERE
  const note = ledger.note(nameOf(number))
  if (note !== undefined) return JSON.parse(Buffer.from(note.value).toString('utf8')) as StoredWay
  const path = [ledger.localSiteId, ...relays, ledger.remoteSiteId]
  return { shares: [[path]], links: [], sinceMs: 0, untilMs: Number.MAX_SAFE_INTEGER }
}

/** A block that is made of the pair secret alone. */
const NOWHERE: StoredWay = { shares: [], links: [], sinceMs: 0, untilMs: Number.MAX_SAFE_INTEGER }

function noteOf(number: bigint, way: StoredWay): Change {
  return { kind: 'note', name: nameOf(number), from: 0, value: Buffer.from(JSON.stringify(way)) }
}

function nameOf(number: bigint): string {
  return PREFIX + number
}
