import { ProtocolError } from '../../errors.ts'
import type { BlockRecord, BlockState } from '../../interface/pool-store.ts'
import { PAYLOAD_CELLS } from '../../key/cells.ts'
import type { FieldKind } from '../../util/message-fields.ts'

/** Blocks in one message at most: well below what a channel carries. */
export const MAX_PEER_BLOCKS = 4096
const STATES: readonly BlockState[] = ['received', 'ready', 'active', 'drained', 'dropped']

/** What a site says of a block to a peer that forgot: row 25. */
export interface PeerBlock extends Pick<BlockRecord, 'number' | 'grant' | 'state' | 'lease' | 'horizon' | 'macSpent'> {
  /** Place of the owner among the two sorted site IDs. */
  readonly owner: 0 | 1
}

/** A list of them as a field of a message. */
export const peerBlocks: FieldKind<readonly PeerBlock[]> = {
  write: (w, blocks) => {
    w.u16(blocks.length)
    for (const { number, grant, owner, state, lease, horizon, macSpent } of blocks)
      w.u64(number)
        .u32(grant)
        .u8(owner)
        .u8(STATES.indexOf(state))
        .u16(lease)
        .u16(horizon)
        .u8(macSpent ? 1 : 0)
  },
  read: r => {
    const length = r.u16()
    if (length > MAX_PEER_BLOCKS)
      throw new ProtocolError(`A list in the message has ${length} blocks; at most ${MAX_PEER_BLOCKS} are allowed`)
    return Array.from({ length }, () => {
      const [number, grant, owner, state] = [r.u64(), r.u32(), r.u8(), STATES[r.u8()]]
      const [lease, horizon, macSpent] = [r.u16(), r.u16(), r.u8()]
      if (owner > 1 || state === undefined || lease > PAYLOAD_CELLS || horizon > PAYLOAD_CELLS)
        throw new ProtocolError(`The message says of block ${number} what no block can be`)
      return { number, grant, owner: owner as 0 | 1, state, lease, horizon, macSpent: macSpent === 1 }
    })
  },
}
