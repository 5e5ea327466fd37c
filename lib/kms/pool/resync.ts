import { randomBytes, timingSafeEqual } from 'node:crypto'
import { ProtocolError, StoreError } from '../../errors.ts'
import type { BlockRecord, Change } from '../../interface/pool-store.ts'
import { PAYLOAD_CELLS } from '../../key/cells.ts'
import { firstSequence } from '../../key/virtual-block.ts'
import { isClear } from '../store/bitmap.ts'
import type { BlockLedger } from './block-ledger.ts'
import { notedSecrets } from './note-slots.ts'
import { MAX_PEER_BLOCKS, type PeerBlock } from './peer-block.ts'
import { type MessageFields, NONCE_BYTES } from './peer-wire.ts'
import { mergeStates } from './resync-merge.ts'
import type { HandshakeWire } from './root-agreement.ts'
import { requireFloor } from './session-agreement.ts'
import { isSharedKeyName } from './shared-key-record.ts'

/** Blocks that a peer may speak of: more than the selections of a pool can tell apart do not live. */
const MAX_BLOCKS = 2 ** 17
/**
 * What the commit number jumps by: beyond all that the store counted before it was put back, heard or not, so that a copy
 * from that time is known as one whenever it comes.
 */
const COMMITS_AHEAD = 2 ** 32
const REASON = 'the store was put back'

/** What came of it, at the site that was put back. */
export interface ResyncReport {
  readonly blocksKept: number
  readonly blocksDropped: number
  /** Cells that could have been given out, and can't any more. */
  readonly lostCells: number
}

/** Row 25, at the witness: what it holds, as it stands at this moment. Its own leases were burned before. */
export function tellState(ledger: BlockLedger, { nonce }: MessageFields<'resync'>, send: HandshakeWire['send']): void {
  const { floor, virtualFloors } = ledger.pool
  const blocks = [...ledger.blocks()].map((block): PeerBlock => {
    const { number, grant, state, lease, macSpent } = block
    const horizon = touchedCells(block)
    if (ledger.owns(block) && state === 'active' && lease > 0) ledger.tell(25, block)
    return {
      number,
      grant,
      owner: ledger.pair.siteIds[0] === block.ownerSiteId ? 0 : 1,
      state,
      lease,
      horizon,
      macSpent,
    }
  })
  const [virtualFloorA, virtualFloorB] = virtualFloors
  for (let from = 0; from === 0 || from < blocks.length; from += MAX_PEER_BLOCKS) {
    const isLast = from + MAX_PEER_BLOCKS >= blocks.length ? 1 : 0
    const part = blocks.slice(from, from + MAX_PEER_BLOCKS)
    send({ name: 'state', nonce, isLast, floor, virtualFloorA, virtualFloorB, blocks: part })
  }
}

/**
 * Rows 24 and 26, at the site that was put back: asks, merges, and is sound again, all in one commit with `also`. A crash before
 * that leaves the flag, and the next session asks anew.
 * @throws {ProtocolError} the peer's answer is none
 * @throws {StoreError} the store failed, or has other rows by now
 */
export async function resync(
  ledger: BlockLedger,
  { send, expect }: HandshakeWire,
  { heardByPeer, also }: { heardByPeer: number; also: (report: ResyncReport) => readonly Change[] },
): Promise<ResyncReport> {
  const nonce = randomBytes(NONCE_BYTES)
  send({ name: 'resync', nonce })
  const { peers, floors } = await readState(nonce, expect)
  const { pool, pair, localSiteId } = ledger
  requireFloor(floors.floor, pool.floor)
  if (floors.virtualFloors.some(floor => floor > firstSequence(pool.poolEpoch + 1)))
    throw new ProtocolError('The peer speaks of virtual blocks that the epoch of the pool does not have')
  const blocks = [...ledger.blocks()]
  const merge = mergeStates({ siteIds: pair.siteIds, localSiteId, blocks, floors: pool, peers })
  const report = {
    blocksKept: merge.kept.length,
    blocksDropped: merge.dropped.length + merge.unknown.length,
    lostCells: merge.lostCells,
  }
  // Who had which of the keys that several hosts share is forgotten: nobody gets them here any more.
  const shared = [...ledger.noteNames()].filter(isSharedKeyName).map(name => ({ name, note: ledger.note(name)! }))
  const forget = shared.map(({ name, note }): Change => ({ kind: 'note', name, from: note.version, value: undefined }))
  const isDone = await ledger.settle(
    [
      ...merge.changes,
      ...forget,
      ...also(report),
      {
        kind: 'pool',
        poolEpoch: pool.poolEpoch,
        patch: {
          rolledBack: false,
          commits: Math.max(pool.commits, heardByPeer) + COMMITS_AHEAD,
          floor: highest(pool.floor, floors.floor),
          virtualFloors: [
            highest(pool.virtualFloors[0], floors.virtualFloors[0]),
            highest(pool.virtualFloors[1], floors.virtualFloors[1]),
          ],
        },
      },
    ],
    { row: 26, blocks: [...merge.kept, ...merge.dropped], reason: REASON },
  )
  if (!isDone) throw new StoreError(`Pool ${pair.name} changed while it took over what the peer says; it asks again`)
  for (const block of merge.unknown) ledger.tell(26, block, { from: 'none', to: 'dropped', reason: REASON })
  for (const { name, note } of shared)
    for (const { destroy } of notedSecrets(name, note.value)) await destroy(ledger.vault)
  return report
}

/**
 * Cells that were ever acknowledged, or burned beyond that because their owner had finished: an owner that forgot must not
 * lease those again, whose keys would be refused.
 */
function touchedCells({ horizon, consumed }: BlockRecord): number {
  let cells = PAYLOAD_CELLS
  while (cells > horizon && isClear(consumed, cells - 1, cells)) cells--
  return cells
}

interface PeerState {
  readonly peers: ReadonlyMap<bigint, PeerBlock>
  readonly floors: { readonly floor: bigint; readonly virtualFloors: readonly [bigint, bigint] }
}

async function readState(nonce: Uint8Array, expect: HandshakeWire['expect']): Promise<PeerState> {
  const peers = new Map<bigint, PeerBlock>()
  for (;;) {
    const part = await expect('state')
    if (!timingSafeEqual(part.nonce, nonce)) throw new ProtocolError('The peer answers another question than was asked')
    for (const block of part.blocks) peers.set(block.number, block)
    if (peers.size > MAX_BLOCKS) throw new ProtocolError(`The peer speaks of more than ${MAX_BLOCKS} blocks`)
    const { floor, virtualFloorA, virtualFloorB } = part
    if (part.isLast === 1) return { peers, floors: { floor, virtualFloors: [virtualFloorA, virtualFloorB] } }
    if (part.blocks.length === 0) throw new ProtocolError('The peer goes on without saying anything')
  }
}

function highest(a: bigint, b: bigint): bigint {
  return a > b ? a : b
}
