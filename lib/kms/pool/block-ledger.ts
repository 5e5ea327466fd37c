import { StoreError } from '../../errors.ts'
import type {
  BlockPatch,
  BlockRecord,
  BlockState,
  Change,
  CommitResult,
  PoolNote,
  PoolRecord,
  PoolSnapshot,
  PoolStore,
  SlotStore,
} from '../../interface/pool-store.ts'
import type { Telemetry } from '../../interface/telemetry.ts'
import { wipeCells } from '../../key/cells.ts'
import type { SecretKey } from '../../key/secret-key.ts'
import { firstSequence } from '../../key/virtual-block.ts'
import { BlockVault } from '../store/block-vault.ts'
import { BlockHolds } from './block-holds.ts'
import { BlockRows } from './block-rows.ts'
import { type RowNumber, type TableState, tableRow } from './block-table.ts'
import { forgetWay } from './block-way.ts'
import { notedSecrets } from './note-slots.ts'
import { type PairIdentity, PairSecret } from './pair-secret.ts'
import { Turns } from './turns.ts'
import { UnleasedBlocks } from './unleased-blocks.ts'

/** The pool and where it is kept. */
export interface BlockLedgerOptions {
  readonly store: PoolStore
  readonly slots: SlotStore
  readonly pair: PairIdentity
  readonly localSiteId: string
  readonly remoteSiteId: string
  readonly telemetry: Telemetry
}

/**
 * The blocks of one pool as the store has them, and the one place that changes them. Readers see the rows of the last
 * durable commit; every change of state is a row of the block table.
 */
export class BlockLedger {
  readonly localSiteId: string
  readonly remoteSiteId: string
  readonly pair: PairIdentity
  readonly telemetry: Telemetry
  readonly #store: PoolStore
  readonly vault: BlockVault
  readonly #blocks = new BlockRows()
  /** Own blocks with something to lease. */
  readonly unleased: UnleasedBlocks
  readonly #notes = new Map<string, PoolNote>()
  readonly #deathListeners: ((number: bigint) => void)[] = []
  readonly #commitListeners: (() => void)[] = []
  /** One at a time a block: its sealed bytes and its slot are read, or replaced, together. */
  readonly #turns = new Turns<bigint>()
  /** Keys that are still to be destroyed. */
  readonly #left: KeyPlace[] = []
  /** Both keys of each block that was sealed anew, where nobody knows which of them the store goes by. */
  readonly #doubtful: KeyPlace[] = []
  /** What may not leave, though it is there. */
  readonly holds = new BlockHolds(this)
  #pool: PoolRecord
  #secret: PairSecret | undefined
  #heardCommits = 0
  #resetting = false

  private constructor(options: BlockLedgerOptions, { pool, blocks, notes }: PoolSnapshot) {
    this.localSiteId = options.localSiteId
    this.remoteSiteId = options.remoteSiteId
    this.pair = options.pair
    this.telemetry = options.telemetry
    this.#store = options.store
    this.vault = new BlockVault({ store: options.store, slots: options.slots, poolId: options.pair.name })
    this.#pool = pool
    this.unleased = new UnleasedBlocks(options.localSiteId)
    for (const block of blocks) this.#enter(block)
    for (const [name, note] of notes) this.#notes.set(name, note)
  }

  /** Reads the pool and finishes what a crash interrupted: keys of dead blocks are destroyed before anything else. */
  static async open(options: BlockLedgerOptions): Promise<BlockLedger> {
    const snapshot = await options.store.snapshot(options.pair.name)
    const ledger = new BlockLedger(options, snapshot)
    ledger.#heardCommits = snapshot.pool.peerCommits
    await ledger.#openRoot()
    for (const block of snapshot.blocks) if (isDead(block)) await ledger.vault.destroyBlock(block)
    return ledger
  }

  /**
   * Finishes what a crash interrupted, once the peer has said how far it knows this store: a commit before that would
   * make a restored store look as new as the peer remembers it.
   */
  async buryDead(): Promise<void> {
    for (const block of [...this.#blocks.values()])
      if (block.state === 'drained' || (block.state === 'dropped' && block.slot >= 0)) await this.#layDown(block)
  }

  /**
   * Destroys the keys that could not be destroyed at their time.
   * @throws {StoreError} it still fails for some
   */
  async destroyLeft(): Promise<void> {
    for (const place of this.#left.splice(0)) await this.#destroy(place)
    if (this.#doubtful.length > 0) await this.#settleSeals()
    if (this.#left.length > 0) throw new StoreError(`${this.#left.length} keys of blocks could not be destroyed yet`)
  }

  get pool(): PoolRecord {
    return this.#pool
  }

  /** The pair secret; undefined before first contact. */
  get secret(): PairSecret | undefined {
    return this.#secret
  }

  /** Another root holds from now on; the one before stays the caller's. */
  useSecret(secret: PairSecret): void {
    this.#secret = secret
  }

  get poolId(): Uint8Array {
    return this.pair.bytes
  }

  get heardCommits(): number {
    return this.#heardCommits
  }

  /** Notes how far the peer's store has got; it becomes durable with the next commit. */
  hear(commits: number): void {
    if (commits > this.#heardCommits) this.#heardCommits = commits
  }

  block(number: bigint): BlockRecord | undefined {
    return this.#blocks.get(number)
  }

  /** All rows, in no order that matters. */
  blocks(): IterableIterator<BlockRecord> {
    return this.#blocks.values()
  }

  /** The rows whose numbers end in these bits: see `lowBlockBits`. */
  blocksEndingIn(low: number): BlockRecord[] {
    return this.#blocks.endingIn(low)
  }

  /** What is kept beside the blocks under that name. */
  note(name: string): PoolNote | undefined {
    return this.#notes.get(name)
  }

  noteNames(): IterableIterator<string> {
    return this.#notes.keys()
  }

  owns(block: BlockRecord): boolean {
    return block.ownerSiteId === this.localSiteId
  }

  /** Calls `listener` when a block's key material has been destroyed, so that copies in memory go too. */
  onDeath(listener: (number: bigint) => void): void {
    this.#deathListeners.push(listener)
  }

  /** Calls `listener` after each commit, when readers see what it wrote. */
  onCommit(listener: () => void): void {
    this.#commitListeners.push(listener)
  }

  /**
   * Commits changes; a refusal changes nothing. The heard commit number goes along when it has grown. `then` runs in the moment in
   * which readers see what was written, before anything else does.
   */
  async commit(changes: readonly Change[], then?: () => void): Promise<CommitResult> {
    const heard: Change[] =
      this.#heardCommits > this.#pool.peerCommits ? [{ kind: 'hear', peerCommits: this.#heardCommits }] : []
    const result = await this.#store.commit(this.pair.name, [...changes, ...heard])
    if (result.ok) this.#take(result, then)
    return result
  }

  /** Makes durable what was heard of the peer's store, where no other commit has done so. */
  async rememberHeard(): Promise<void> {
    if (this.#heardCommits > this.#pool.peerCommits) await this.commit([])
  }

  /**
   * Rows 2 and 30: seals a block and takes it in, with `also` in the same commit. False where its number is spent, or `also` is
   * refused.
   */
  async insert(
    record: BlockRecord,
    material: SecretKey,
    { row, also = [] }: { row: 2 | 30; also?: readonly Change[] },
  ): Promise<boolean> {
    const { slot, sealed } = await this.vault.seal(record, material)
    let isIn = false
    try {
      const insert: Change = { kind: 'insert', record: { ...record, slot }, sealed, raiseFloor: true }
      isIn = (await this.commit([...also, insert])).ok
    } finally {
      // Also where the store failed: a row that it wrote after all is then a block that does not open, and goes.
      if (!isIn) await this.#destroy({ number: record.number, slot })
    }
    if (isIn) this.tell(row, record, { from: 'none' })
    return isIn
  }

  /** Remembers that the peer dropped a block which has not reached us yet. */
  async insertDropped(record: BlockRecord): Promise<void> {
    await this.commit([
      { kind: 'insert', record: { ...record, state: 'dropped', slot: -1 }, sealed: undefined, raiseFloor: false },
    ])
  }

  /** Moves a block by a row of the table; false where the store has it in another state by now. */
  async move(
    row: RowNumber,
    block: BlockRecord,
    { patch, also = [], reason }: { patch?: BlockPatch; also?: readonly Change[]; reason?: string } = {},
  ): Promise<boolean> {
    const { from, to } = tableRow(row)
    const change: Change = {
      kind: 'move',
      number: block.number,
      grant: block.grant,
      from: from.filter((state): state is BlockState => state !== 'none'),
      to: to as BlockState,
      ...(patch === undefined ? {} : { patch }),
    }
    const result = await this.commit([change, ...also])
    if (!result.ok) return false
    this.tell(row, block, { reason })
    const now = this.#blocks.get(block.number)
    if (now !== undefined && (now.state === 'drained' || now.state === 'dropped')) await this.#bury(now)
    return true
  }

  /**
   * Row 7 for every block that is not verified yet, and `also` in the same commit. Gives their numbers, of which the peer must be
   * told; undefined where the store has other rows by now, and nothing was written. `then` runs as soon as readers see it.
   */
  async dropReceived(reason: string, also: readonly Change[], then: () => void): Promise<bigint[] | undefined> {
    const received = [...this.#blocks.values()].filter(({ state }) => state === 'received')
    const moves = received.map(({ number, grant }): Change => {
      return { kind: 'move', number, grant, from: ['received'], to: 'dropped' }
    })
    const isDone = await this.settle([...moves, ...also], { row: 7, blocks: received, reason, then })
    return isDone ? received.map(({ number }) => number) : undefined
  }

  /**
   * Writes a batch that moves these blocks by a row, tells of each, and destroys the keys of those that end. What was written
   * stands whatever becomes of a burial: the sweep and the next session come back to that.
   */
  async settle(changes: readonly Change[], { row, blocks, reason, then }: Batch): Promise<boolean> {
    if (!(await this.commit(changes, then)).ok) return false
    for (const block of blocks) {
      const now = this.#blocks.get(block.number)
      this.tell(row, block, { to: now?.state ?? 'none', reason })
      if (now !== undefined && isDead(now)) await this.#bury(now).catch(() => {})
    }
    return true
  }

  /** Rows 20 and 21: ownership changes under a higher grant number, if nothing of the block was ever used. */
  async give(
    block: BlockRecord,
    { row, grant, ownerSiteId }: { row: 20 | 21; grant: number; ownerSiteId: string },
  ): Promise<boolean> {
    const state = tableRow(row).to as BlockState
    const result = await this.commit([{ kind: 'grant', number: block.number, grant, ownerSiteId, state }])
    if (result.ok) this.tell(row, block)
    return result.ok
  }

  /** Forgets a dead block: nobody will ask for it again. */
  async remove(number: bigint): Promise<void> {
    const block = this.#blocks.get(number)
    if (block !== undefined) await this.#destroy(block)
    await this.#removeRow(number)
  }

  async #removeRow(number: bigint): Promise<void> {
    await this.commit([{ kind: 'remove', number }, ...forgetWay(this, number)])
  }

  /** The material of a live block; the caller owns it. */
  open({ number }: BlockRecord): Promise<SecretKey> {
    return this.#turns.take(number, () => this.vault.open(this.#live(number)))
  }

  /**
   * Writes a live block anew without the cells of `ranges`, under a new key, and destroys the old one: what was delivered
   * is then gone from the disk although the block lives on. False where the block changed hands meanwhile.
   */
  reseal({ number }: BlockRecord, ranges: readonly { from: number; to: number }[]): Promise<boolean> {
    return this.#turns.take(number, () => this.#reseal(this.#live(number), ranges))
  }

  async #reseal(block: BlockRecord, ranges: readonly { from: number; to: number }[]): Promise<boolean> {
    if (this.#resetting) return false
    const material = await this.vault.open(block)
    try {
      for (const { from, to } of ranges) wipeCells(material, from, to - from)
      const { slot, sealed } = await this.vault.seal(block, material)
      const { number, slot: fromSlot } = block
      const result = await this.commit([{ kind: 'reseal', number, fromSlot, slot, sealed }]).catch(error => {
        this.#doubtful.push({ number, slot: fromSlot }, { number, slot })
        throw error
      })
      await this.#destroy({ number, slot: result.ok ? fromSlot : slot })
      return result.ok
    } finally {
      material.wipe()
    }
  }

  /**
   * Row 27: everything of this pool goes, and it begins anew under `poolEpoch` with a new root. The floor keeps every
   * number that either side ever saw from coming again.
   */
  async reset(fields: NewEpoch): Promise<void> {
    // A block that is being sealed anew would change its slot under our eyes.
    this.#resetting = true
    try {
      await this.#turns.over()
      await this.#beginAnew(fields)
    } finally {
      this.#resetting = false
    }
  }

  async #beginAnew(fields: NewEpoch): Promise<void> {
    const oldRootSlot = this.#pool.rootSlot
    const rootSlot = await this.vault.putRoot(fields.root)
    const dead = [...this.#blocks.values()]
    const { poolEpoch, sealEpoch } = fields
    const noted = [...this.#notes].flatMap(([name, { value }]) => notedSecrets(name, value))
    // Of no virtual block that was ever opened does the number come again, whatever either store has forgotten.
    const virtualFloor = firstSequence(poolEpoch)
    // A block may have come since the hellos were written.
    const floor = fields.floor > this.#pool.floor ? fields.floor : this.#pool.floor
    this.#heardCommits = fields.peerCommits
    const result = await this.#store.commit(this.pair.name, [
      ...dead.map((block): Change => ({ kind: 'remove', number: block.number })),
      ...[...this.#notes].map(([name, { version: from }]): Change => ({ kind: 'note', name, from, value: undefined })),
      ...fields.notes,
      {
        kind: 'pool',
        poolEpoch: this.#pool.poolEpoch,
        patch: {
          poolEpoch,
          sealEpoch,
          floor,
          virtualFloors: [virtualFloor, virtualFloor],
          rootSlot,
          peerCommits: fields.peerCommits,
          rolledBack: false,
        },
      },
    ])
    if (!result.ok) throw new StoreError(`Pool ${this.pair.name} cannot be reset: ${result.refusal}`)
    this.#notes.clear()
    this.#take(result, () => {
      this.#secret?.wipe()
      this.#secret = new PairSecret(fields.root, this.pair, { sealEpoch: this.#pool.sealEpoch })
    })
    // First what could still be given out from memory, then the keys on disk.
    for (const block of dead) for (const listener of this.#deathListeners) listener(block.number)
    for (const block of dead) {
      await this.#destroy(block)
      this.tell(27, block, { reason: 'reset' })
    }
    await this.vault.destroyRoot(oldRootSlot)
    for (const { destroy } of noted) await destroy(this.vault)
  }

  wipe(): void {
    this.#secret?.wipe()
  }

  /** Destroys the key of a drained or dropped block. A drained one is forgotten; a dropped one waits for the peer. */
  async #bury(block: BlockRecord): Promise<void> {
    for (const listener of this.#deathListeners) listener(block.number)
    await this.#layDown(block)
  }

  async #layDown(block: BlockRecord): Promise<void> {
    await this.#destroy(block)
    if (block.state === 'drained') await this.#removeRow(block.number)
    else if (block.slot >= 0) await this.#forgetSlot(block)
  }

  /** Destroys a block's key; where that fails the sweep comes back to it, and the next start. */
  async #destroy({ number, slot }: KeyPlace): Promise<void> {
    await this.vault.destroyBlock({ number, slot }).catch(() => void this.#left.push({ number, slot }))
  }

  /** Destroys those keys that the store does not go by, and takes the rows as they are there: a block opens by no other. */
  async #settleSeals(): Promise<void> {
    const asked = this.#doubtful.length
    const { blocks } = await this.#store.snapshot(this.pair.name)
    for (const { number, slot } of this.#doubtful.splice(0, asked)) {
      const stored = blocks.find(block => block.number === number)
      const held = this.#blocks.get(number)
      if (stored?.slot !== slot) await this.#destroy({ number, slot })
      else if (held !== undefined && held.version < stored.version) this.#enter(stored)
    }
  }

  async #forgetSlot({ number, grant }: BlockRecord): Promise<void> {
    await this.commit([{ kind: 'move', number, grant, from: ['dropped'], to: 'dropped', patch: { slot: -1 } }])
  }

  /** A pair secret that can't be read is one that was lost: both sides then begin anew when they meet. */
  async #openRoot(): Promise<void> {
    const { rootSlot, sealEpoch } = this.#pool
    if (rootSlot < 0) return
    try {
      this.#secret = new PairSecret(await this.vault.readRoot(rootSlot), this.pair, { sealEpoch })
    } catch (error) {
      if (!(error instanceof StoreError)) throw error
      this.telemetry.emit({
        type: 'alarm',
        id: `pair-secret-lost:${this.pair.name}`,
        severity: 'critical',
        state: 'raised',
        text: `The pair secret with ${this.remoteSiteId} cannot be read (${error.message}); both pools begin anew`,
      })
    }
  }

  #live(number: bigint): BlockRecord {
    const block = this.#blocks.get(number)
    if (block === undefined || block.slot < 0) throw new StoreError(`Block ${number} is gone`)
    return block
  }

  #take(result: Extract<CommitResult, { ok: true }>, then?: () => void): void {
    for (const [name, note] of result.notes) {
      if (note === undefined) this.#notes.delete(name)
      else if (note.version > (this.#notes.get(name)?.version ?? 0)) this.#notes.set(name, note)
    }
    if (result.pool.commits >= this.#pool.commits) this.#pool = result.pool
    for (const [number, block] of result.blocks) {
      if (block === undefined) {
        this.#blocks.delete(number)
        this.unleased.delete(number)
      } else if (block.version >= (this.#blocks.get(number)?.version ?? 0)) this.#enter(block)
    }
    then?.()
    for (const listener of this.#commitListeners) listener()
  }

  #enter(block: BlockRecord): void {
    this.#blocks.set(block)
    this.holds.enter(block)
  }

  /** Says that a block has gone by a row, from the state that it is given in. */
  tell(row: RowNumber, block: BlockRecord, { from = block.state, to, reason }: Told = {}): void {
    this.telemetry.emit({
      type: 'block',
      peerSiteId: this.remoteSiteId,
      block: String(block.number),
      from,
      to: to ?? tableRow(row).to,
      row,
      ...(reason === undefined ? {} : { reason }),
    })
  }
}

/** Blocks that go by one row together. */
interface Batch {
  readonly row: 7 | 26
  readonly blocks: readonly BlockRecord[]
  readonly reason: string
  /** Runs as soon as readers see what was written. */
  readonly then?: () => void
}

/** What a pool begins anew with. */
interface NewEpoch {
  readonly poolEpoch: number
  readonly sealEpoch: number
  readonly floor: bigint
  readonly peerCommits: number
  readonly root: SecretKey
  /** What is noted from the first moment on. */
  readonly notes: readonly Change[]
}

/** How a block has gone by a row, where that does not say it alone. */
interface Told {
  readonly from?: TableState
  readonly to?: TableState
  readonly reason?: string | undefined
}

/** A block's key, and where it lies. */
type KeyPlace = Pick<BlockRecord, 'number' | 'slot'>

function isDead({ state }: BlockRecord): boolean {
  return state === 'drained' || state === 'dropped'
}
