import type { BlockRecord, Change } from '../../interface/pool-store.ts'
import { PAYLOAD_CELLS } from '../../key/cells.ts'
import { countSet } from '../store/bitmap.ts'
import { newBlockRecord } from '../store/block-record.ts'
import { isSpent } from '../store/number-floor.ts'
import type { PeerBlock } from './peer-block.ts'

/** Blocks that a peer may make this side remember as dropped; of more it is told when it speaks of them. */
const MAX_UNKNOWN = 4096

/** Both sides of a pool where one was put back: its own rows, and what the other says. */
export interface ResyncInput {
  readonly siteIds: readonly [string, string]
  readonly localSiteId: string
  readonly blocks: readonly BlockRecord[]
  readonly floors: Parameters<typeof isSpent>[0]
  readonly peers: ReadonlyMap<bigint, PeerBlock>
}

/** What a store that was put back does about it (row 26). */
export interface ResyncMerge {
  readonly changes: readonly Change[]
  /** Blocks that go on, with what they were. */
  readonly kept: readonly BlockRecord[]
  /** Blocks that had key here and go: they are not live at both sites any more. */
  readonly dropped: readonly BlockRecord[]
  /** Blocks that live at the peer and not here, 4,096 at most: remembered as dropped, so that it drops them. */
  readonly unknown: readonly BlockRecord[]
  /** Cells that could still have been given out here, and can't now. */
  readonly lostCells: number
}

/**
 * Rule R4. A block goes on where both sites hold it verified; ownership is that of the higher grant. Of an own block every
 * cell counts as leased that the peer ever acknowledged; of the peer's every cell is spent that it ever put under lease.
 * Everything else goes. Pure: the same two sides give the same answer, however often it is asked for.
 */
export function mergeStates(input: ResyncInput): ResyncMerge {
  const changes: Change[] = []
  const kept: BlockRecord[] = []
  const dropped: BlockRecord[] = []
  let lostCells = 0
  for (const block of input.blocks) {
    if (block.state === 'drained' || block.state === 'dropped') continue
    const merged = mergeBlock(block, input)
    if (merged === undefined) {
      dropped.push(block)
      lostCells += cellsLeft(block, input.localSiteId)
      changes.push({ kind: 'move', number: block.number, grant: block.grant, from: [block.state], to: 'dropped' })
    } else {
      kept.push(block)
      changes.push(...merged.changes)
      lostCells += merged.lostCells
    }
  }
  const own = new Set(input.blocks.map(({ number }) => number))
  // A number at or below the floor can't come again: it needs no row to say so.
  const unknown = [...input.peers.values()]
    .filter(({ number, state }) => !own.has(number) && isAlive(state) && !isSpent(input.floors, number))
    .slice(0, Math.max(0, MAX_UNKNOWN - input.blocks.filter(({ state }) => state === 'dropped').length))
    .map(peer => tombstone(peer, input.siteIds))
  const buried = unknown.map((record): Change => ({ kind: 'insert', record, sealed: undefined, raiseFloor: false }))
  return { changes: [...changes, ...buried], kept, dropped, unknown, lostCells }
}

/** Cells of a block that the site could still give out: what it issues from, or its hosts may fetch. */
export function cellsLeft({ state, ownerSiteId, lease, consumed }: BlockRecord, localSiteId: string): number {
  if (state === 'drained' || state === 'dropped') return 0
  return PAYLOAD_CELLS - (ownerSiteId === localSiteId ? lease : countSet(consumed, 0, PAYLOAD_CELLS))
}

function mergeBlock(block: BlockRecord, input: ResyncInput): { changes: Change[]; lostCells: number } | undefined {
  const { siteIds, localSiteId } = input
  const peer = input.peers.get(block.number)
  if (peer === undefined || block.slot < 0 || !isVerified(block.state) || !isVerified(peer.state)) return undefined
  const peersOwner = siteIds[peer.owner]
  if (peer.grant === block.grant && peersOwner !== block.ownerSiteId) return undefined
  const isGranted = peer.grant > block.grant
  const ownerSiteId = isGranted ? peersOwner! : block.ownerSiteId
  const grant = isGranted ? peer.grant : block.grant
  const isOwn = ownerSiteId === localSiteId
  const state = isOwn ? 'active' : 'ready'
  const { number } = block
  const changes: Change[] = []
  if (isGranted) {
    // Only an unused block is ever granted; a copy that says otherwise is not of this block.
    const isUsed = block.lease > 0 || block.horizon > 0 || block.macSpent
    if (isUsed || countSet(block.consumed, 0, PAYLOAD_CELLS) > 0) return undefined
    changes.push({ kind: 'grant', number, grant, ownerSiteId, state })
  } else if (block.state !== state) return undefined
  // What the last two cells authenticated since is forgotten; of the peer's blocks only the peer chooses.
  if (!block.macSpent && (isOwn || peer.macSpent)) changes.push({ kind: 'spend-mac', number, from: state })
  if (isOwn) {
    if (peer.state !== 'ready') return undefined
    const cells = Math.max(0, peer.horizon - block.lease)
    const from = block.lease
    if (cells > 0) changes.push({ kind: 'reserve', number, grant, from, cells, limit: PAYLOAD_CELLS })
    return { changes, lostCells: cells }
  }
  const isHeldByPeer = peersOwner === ownerSiteId
  if (isHeldByPeer && peer.state !== 'active') return undefined
  const to = isHeldByPeer ? peer.lease : 0
  const from = block.horizon
  // The mark goes along, so that this side can be the peer's witness in its turn.
  if (to > from)
    changes.push({ kind: 'acknowledge', number, grant, ownerSiteId, from, to, renewal: false, expiresAtMs: 0 })
  if (to > 0) changes.push({ kind: 'burn', number, ranges: [{ from: 0, to }] })
  return { changes, lostCells: to - countSet(block.consumed, 0, to) }
}

function tombstone({ number, grant, owner }: PeerBlock, siteIds: readonly [string, string]): BlockRecord {
  const ownerSiteId = siteIds[owner]
  return newBlockRecord({ number, grant, ownerSiteId, trustClass: 'direct', relays: [], slot: -1, state: 'dropped' })
}

function isVerified(state: BlockRecord['state']): boolean {
  return state === 'ready' || state === 'active'
}

function isAlive(state: BlockRecord['state']): boolean {
  return state === 'received' || isVerified(state)
}
