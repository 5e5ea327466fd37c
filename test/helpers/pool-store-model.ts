import type { BlockState, Change, Refusal } from '../../lib/interface/pool-store.ts'

/** A block as anybody would keep it on paper: cells as sets, no bits, no bytes. */
export interface ModelBlock {
  owner: string
  grant: number
  state: BlockState
  slot: number
  lease: number
  horizon: number
  consumed: Set<number>
  macSpent: boolean
  sealed: string | undefined
}

/** A pool on paper. */
export class ModelPool {
  blocks = new Map<bigint, ModelBlock>()
  notes = new Map<string, { version: number; value: string }>()
  floor = 0n
  poolEpoch = 0
  commits = 0
  peerCommits = 0

  /** What becomes of the batch: nothing but the refusal, or all of it. */
  commit(changes: readonly Change[]): { refusal: Refusal; change: number } | undefined {
    const draft = this.#copy()
    let counts = false
    for (const [at, change] of changes.entries()) {
      const refusal = draft.#apply(change)
      if (refusal !== undefined) return { refusal, change: at }
      counts ||= change.kind !== 'hear'
    }
    if (counts) draft.commits += 1
    Object.assign(this, draft)
    return undefined
  }

  #copy(): ModelPool {
    const copy = Object.assign(new ModelPool(), this)
    copy.blocks = new Map([...this.blocks].map(([n, block]) => [n, { ...block, consumed: new Set(block.consumed) }]))
    copy.notes = new Map(this.notes)
    return copy
  }

  #apply(change: Change): Refusal | undefined {
    if (change.kind === 'hear') {
      this.peerCommits = change.peerCommits > this.peerCommits ? change.peerCommits : this.peerCommits
      return
    }
    if (change.kind === 'pool') {
      if (change.poolEpoch !== this.poolEpoch) return 'epoch-passed'
      if (change.patch.poolEpoch !== undefined) this.poolEpoch = change.patch.poolEpoch
      return
    }
    if (change.kind === 'note') {
      const version = this.notes.get(change.name)?.version ?? 0
      if (version !== change.from) return 'note-changed'
      if (change.value === undefined) this.notes.delete(change.name)
      else this.notes.set(change.name, { version: version + 1, value: Buffer.from(change.value).toString() })
      return
    }
    if (change.kind === 'insert') return this.#insert(change)
    const block = this.blocks.get(change.number)
    return block === undefined ? 'no-such-block' : this.#change(block, change)
  }

  #insert({ record, sealed, raiseFloor }: Extract<Change, { kind: 'insert' }>): Refusal | undefined {
    if (this.blocks.has(record.number)) return 'block-exists'
    if (record.number <= this.floor) return 'below-floor'
    if (raiseFloor) this.floor = record.number
    const { ownerSiteId: owner, grant, state, slot, lease, horizon, macSpent } = record
    const text = sealed && Buffer.from(sealed).toString()
    const block = { owner, grant, state, slot, lease, horizon, macSpent, consumed: new Set<number>(), sealed: text }
    this.blocks.set(record.number, block)
    return
  }

  #change(
    block: ModelBlock,
    change: Exclude<Change, { kind: 'insert' | 'hear' | 'pool' | 'note' }>,
  ): Refusal | undefined {
    const touched = 'cells' in change && 'offset' in change ? range(change.offset, change.offset + change.cells) : []
    switch (change.kind) {
      case 'move':
        if (block.grant !== change.grant) return 'wrong-grant'
        if (!change.from.includes(block.state)) return 'wrong-state'
        block.state = change.to
        break
      case 'reserve':
        if (block.grant !== change.grant) return 'wrong-grant'
        if (block.state !== 'active') return 'wrong-state'
        if (block.lease !== change.from || change.from + change.cells > change.limit) return 'out-of-range'
        block.lease += change.cells
        break
      case 'acknowledge':
        if (block.state !== 'ready') return 'wrong-state'
        if (block.owner !== change.ownerSiteId) return 'wrong-owner'
        if (block.grant !== change.grant) return 'wrong-grant'
        if (change.renewal ? change.to > block.horizon : change.from < block.horizon) return 'out-of-range'
        block.horizon = Math.max(block.horizon, change.to)
        break
      case 'consume':
        if (block.state !== 'ready') return 'wrong-state'
        if (block.owner !== change.ownerSiteId) return 'wrong-owner'
        if (change.offset + change.cells > block.horizon) return 'beyond-horizon'
        if (touched.some(cell => block.consumed.has(cell))) return 'already-consumed'
        for (const cell of touched) block.consumed.add(cell)
        break
      case 'burn':
        for (const { from, to } of change.ranges) for (const cell of range(from, to)) block.consumed.add(cell)
        break
      case 'grant':
        if (change.grant <= block.grant) return 'wrong-grant'
        if (block.state !== 'ready' && block.state !== 'active') return 'wrong-state'
        if (block.lease + block.horizon + block.consumed.size > 0) return 'out-of-range'
        if (block.macSpent) return 'already-consumed'
        Object.assign(block, { grant: change.grant, owner: change.ownerSiteId, state: change.state })
        break
      case 'reseal':
        if (block.slot !== change.fromSlot) return 'wrong-state'
        Object.assign(block, { slot: change.slot, sealed: Buffer.from(change.sealed).toString() })
        break
      case 'spend-mac':
        if (block.macSpent) return 'already-consumed'
        if (block.state !== change.from) return 'wrong-state'
        block.macSpent = true
        break
      case 'remove':
        this.blocks.delete(change.number)
    }
    if (block.state === 'drained' || block.state === 'dropped') block.sealed = undefined
    return
  }
}

function range(from: number, to: number): number[] {
  return Array.from({ length: to - from }, (_, at) => from + at)
}
