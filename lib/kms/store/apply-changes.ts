import type { BlockRecord, Change, ExpirySpan, PoolNote, PoolRecord, Refusal } from '../../interface/pool-store.ts'
import { isClear, setIn, withSet } from './bitmap.ts'
import { isSpent, raisedPast } from './number-floor.ts'

/** The rows that a batch starts from. */
export interface Rows {
  pool(): PoolRecord
  block(number: bigint): BlockRecord | undefined
  note(name: string): PoolNote | undefined
}

/** The rows that a batch leaves behind. */
export interface Writes {
  readonly pool: PoolRecord
  /** Undefined for a block that is forgotten. */
  readonly blocks: ReadonlyMap<bigint, BlockRecord | undefined>
  readonly sealed: ReadonlyMap<bigint, Uint8Array | undefined>
  readonly notes: ReadonlyMap<string, PoolNote | undefined>
}

export type Applied = { ok: true; writes: Writes } | { ok: false; refusal: Refusal; change: number }

/**
 * What a batch of guarded changes does to the rows: all of it, or a refusal. Pure, so that every store that runs it
 * inside its own transaction behaves alike.
 */
export function applyChanges(rows: Rows, changes: readonly Change[]): Applied {
  const draft = new Draft(rows)
  for (const [index, change] of changes.entries()) {
    const refusal = draft.apply(change)
    if (refusal !== undefined) return { ok: false, refusal, change: index }
  }
  return { ok: true, writes: draft.finish() }
}

class Draft {
  readonly #rows: Rows
  readonly #blocks = new Map<bigint, BlockRecord | undefined>()
  readonly #sealed = new Map<bigint, Uint8Array | undefined>()
  readonly #notes = new Map<string, PoolNote | undefined>()
  /** Records that this batch made to consume cells of: nobody else has them yet, so the next cells are set in place. */
  readonly #consuming = new WeakSet<BlockRecord>()
  #pool: PoolRecord
  #counts = false

  constructor(rows: Rows) {
    this.#rows = rows
    this.#pool = rows.pool()
  }

  finish(): Writes {
    const commits = this.#pool.commits + (this.#counts ? 1 : 0)
    return { pool: { ...this.#pool, commits }, blocks: this.#blocks, sealed: this.#sealed, notes: this.#notes }
  }

  apply(change: Change): Refusal | undefined {
    if (change.kind === 'hear') {
      this.#pool = { ...this.#pool, peerCommits: Math.max(this.#pool.peerCommits, change.peerCommits) }
      return undefined
    }
    this.#counts = true
    if (change.kind === 'pool') {
      if (this.#pool.poolEpoch !== change.poolEpoch) return 'epoch-passed'
      if ((change.patch.commits ?? this.#pool.commits) < this.#pool.commits) return 'out-of-range'
      this.#pool = { ...this.#pool, ...change.patch }
      return undefined
    }
    if (change.kind === 'note') return this.#note(change)
    if (change.kind === 'insert') return this.#insert(change)
    const block = this.#block(change.number)
    if (block === undefined) return 'no-such-block'
    if (change.kind === 'consume') return this.#consume(block, change)
    const next = change.kind === 'remove' ? undefined : transform(block, change)
    if (typeof next === 'string') return next
    this.#blocks.set(change.number, next === undefined ? undefined : { ...next, version: block.version + 1 })
    if (change.kind === 'reseal') this.#sealed.set(change.number, change.sealed)
    // A dead block's material goes with its state: what remains on free pages is sealed under a key that is destroyed.
    if (next === undefined || next.state === 'drained' || next.state === 'dropped')
      this.#sealed.set(change.number, undefined)
    return undefined
  }

  /** The keys of a request, and of requests that go together, mostly lie in one block. */
  #consume(block: BlockRecord, change: Extract<Change, { kind: 'consume' }>): Refusal | undefined {
    const { number, ownerSiteId, offset, cells } = change
    if (block.state !== 'ready') return 'wrong-state'
    if (block.ownerSiteId !== ownerSiteId) return 'wrong-owner'
    if (offset + cells > block.horizon) return 'beyond-horizon'
    if (!isClear(block.consumed, offset, offset + cells)) return 'already-consumed'
    if (this.#consuming.has(block)) {
      setIn(block.consumed, offset, offset + cells)
      ;(block as { version: number }).version += 1
      return undefined
    }
    const next = { ...block, consumed: withSet(block.consumed, offset, offset + cells), version: block.version + 1 }
    this.#consuming.add(next)
    this.#blocks.set(number, next)
    return undefined
  }

  #note({ name, from, value }: Extract<Change, { kind: 'note' }>): Refusal | undefined {
    const note = this.#notes.has(name) ? this.#notes.get(name) : this.#rows.note(name)
    if ((note?.version ?? 0) !== from) return 'note-changed'
    this.#notes.set(name, value === undefined ? undefined : { version: from + 1, value })
    return undefined
  }

  /** As the batch has left it so far: one that it has removed is gone. */
  #block(number: bigint): BlockRecord | undefined {
    return this.#blocks.has(number) ? this.#blocks.get(number) : this.#rows.block(number)
  }

  #insert({ record, sealed, raiseFloor }: Extract<Change, { kind: 'insert' }>): Refusal | undefined {
    if (this.#block(record.number) !== undefined) return 'block-exists'
    if (isSpent(this.#pool, record.number)) return 'below-floor'
    if (raiseFloor) this.#pool = { ...this.#pool, ...raisedPast(this.#pool, record.number) }
    this.#blocks.set(record.number, record)
    this.#sealed.set(record.number, sealed)
    return undefined
  }
}

type BlockChange = Exclude<Change, { kind: 'insert' | 'pool' | 'hear' | 'remove' | 'note' | 'consume' }>

function transform(block: BlockRecord, change: BlockChange): BlockRecord | Refusal {
  switch (change.kind) {
    case 'move':
      if (block.grant !== change.grant) return 'wrong-grant'
      if (!change.from.includes(block.state)) return 'wrong-state'
      return { ...block, state: change.to, ...change.patch }
    case 'reserve':
      if (block.grant !== change.grant) return 'wrong-grant'
      if (block.state !== 'active') return 'wrong-state'
      if (block.lease !== change.from || change.from + change.cells > change.limit) return 'out-of-range'
      return { ...block, lease: change.from + change.cells }
    case 'acknowledge':
      return acknowledge(block, change)
    case 'burn':
      return {
        ...block,
        consumed: change.ranges.reduce((bits, { from, to }) => withSet(bits, from, to), block.consumed),
      }
    case 'grant':
      if (change.grant <= block.grant) return 'wrong-grant'
      if (block.state !== 'ready' && block.state !== 'active') return 'wrong-state'
      if (block.lease !== 0 || block.horizon !== 0 || block.consumed.some(byte => byte !== 0)) return 'out-of-range'
      // The new owner chooses what its last two cells authenticate.
      if (block.macSpent) return 'already-consumed'
      return { ...block, grant: change.grant, ownerSiteId: change.ownerSiteId, state: change.state }
    case 'reseal':
      if (block.slot !== change.fromSlot) return 'wrong-state'
      return { ...block, slot: change.slot }
    case 'spend-mac':
      if (block.macSpent) return 'already-consumed'
      if (block.state !== change.from) return 'wrong-state'
      return { ...block, macSpent: true }
  }
}

function acknowledge(block: BlockRecord, change: Extract<Change, { kind: 'acknowledge' }>): BlockRecord | Refusal {
  if (block.state !== 'ready') return 'wrong-state'
  if (block.ownerSiteId !== change.ownerSiteId) return 'wrong-owner'
  if (block.grant !== change.grant) return 'wrong-grant'
  // A renewal prolongs what was acknowledged before; a lease begins where nothing was.
  if (change.renewal ? change.to > block.horizon : change.from < block.horizon) return 'out-of-range'
  return {
    ...block,
    horizon: Math.max(block.horizon, change.to),
    expiry: withSpan(block.expiry, change.from, change.to, change.expiresAtMs),
  }
}

/** The timers with `from` to `to` moved to `expiresAtMs`; what lies below `from` keeps its own. */
function withSpan(spans: readonly ExpirySpan[], from: number, to: number, expiresAtMs: number): ExpirySpan[] {
  const result: ExpirySpan[] = []
  let start = 0
  for (const span of spans) {
    const end = Math.min(span.to, from)
    if (end > start) result.push({ to: end, expiresAtMs: span.expiresAtMs })
    start = span.to
  }
  // Cells between the last span and `from` were leased and never acknowledged: nobody was given one.
  const before = result.at(-1)?.to ?? 0
  if (from > before) result.push({ to: from, expiresAtMs })
  result.push({ to, expiresAtMs })
  for (const span of spans) if (span.to > to) result.push(span)
  return result
}
