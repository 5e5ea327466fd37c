import { ProtocolError } from '../../errors.ts'
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

/** More than any request has; a list that is longer goes as one way over everything that is in it. */
const MAX_WAYS_BYTES = 60_000

/** Ways as they go to another site, and into a record there: each once. */
export function encodeWays(ways: readonly StoredWay[]): Buffer {
  const unique = [...new Map(ways.map(way => [JSON.stringify(way), way])).values()]
  const bytes = Buffer.from(JSON.stringify(unique))
  if (bytes.byteLength <= MAX_WAYS_BYTES) return bytes
  const sites = [...new Set(unique.flatMap(({ shares }) => shares.flat(2)))].slice(0, 128)
  const times = {
    sinceMs: Math.min(...unique.map(way => way.sinceMs)),
    untilMs: Math.max(...unique.map(way => way.untilMs)),
  }
  return Buffer.from(JSON.stringify([{ shares: [[['', ...sites, '']]], links: [], ...times }]))
}

/** @throws {ProtocolError} the bytes are no list of ways */
export function decodeWays(bytes: Uint8Array): StoredWay[] {
  if (bytes.byteLength > MAX_WAYS_BYTES) throw new ProtocolError('The ways of shared keys are too long')
  try {
    const ways = JSON.parse(Buffer.from(bytes).toString('utf8')) as StoredWay[]
    if (ways.every(isWay)) return ways
  } catch {
    // Said below.
  }
  throw new ProtocolError('The ways of shared keys are not right')
}

function isWay({ shares, links, sinceMs, untilMs }: StoredWay): boolean {
  const isPath = (path: readonly string[]) => Array.isArray(path) && path.every(site => typeof site === 'string')
  const isLink = ({ linkId, siteIds }: StoredWay['links'][number]) => typeof linkId === 'string' && isPath(siteIds)
  return (
    Array.isArray(shares) &&
    shares.every(paths => Array.isArray(paths) && paths.every(isPath)) &&
    Array.isArray(links) &&
    links.every(isLink) &&
    Number.isFinite(sinceMs) &&
    Number.isFinite(untilMs)
  )
}
