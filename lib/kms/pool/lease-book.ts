import { copyCells, keepCells, wipeCells } from '../../key/cells.ts'
import type { SecretKey } from '../../key/secret-key.ts'

/** A place in the pool: what a selection names, before the size. */
export interface CellRange {
  readonly block: bigint
  readonly offset: number
  readonly cells: number
  /** No cell of it leaves at or after this moment, on the monotonic clock. */
  readonly deadlineMs: number
}

interface OpenBlock {
  material: SecretKey
  /** Ranges under acknowledged lease that are not given out yet, ascending. */
  ranges: LeasedRange[]
  /** Places that were taken and are neither given out nor given back yet. */
  taken: Set<CellRange>
}

interface LeasedRange {
  next: number
  to: number
  /** No cell of it leaves at or after this moment, on the monotonic clock. */
  deadlineMs: number
}

/**
 * The cells that may be given out at once: under lease, acknowledged, with their bytes at hand. In memory only: what
 * stands here when the process ends is burned.
 */
export class LeaseBook {
  readonly #blocks = new Map<bigint, OpenBlock>()
  #cells = 0

  /** Cells that can be taken, if they fit. */
  get cells(): number {
    return this.#cells
  }

  /** Blocks that it holds bytes of. */
  get openBlocks(): number {
    return this.#blocks.size
  }

  /** Cells that can be taken in pieces of `contiguous`, of blocks that `serves`. */
  cellsInPieces(contiguous: number, serves: (block: bigint) => boolean = () => true): number {
    let cells = 0
    for (const [block, { ranges }] of this.#blocks) {
      if (!serves(block)) continue
      for (const { next, to } of ranges) cells += to - next - ((to - next) % contiguous)
    }
    return cells
  }

  /** True while cells of that block can be given out. */
  has(block: bigint): boolean {
    return this.#blocks.has(block)
  }

  /** Adds an acknowledged lease. The book takes `material` over, in place of what it had of the block. */
  add(block: bigint, from: number, to: number, deadlineMs: number, material: SecretKey): void {
    const open = this.#blocks.get(block)
    this.#cells += to - from
    // In the store delivered cells stay until they are shredded; here they would come back to life.
    const taken = [...(open?.taken ?? [])].map(({ offset, cells }) => ({ from: offset, to: offset + cells }))
    keepCells(material, [
      ...(open?.ranges ?? []).map(range => ({ from: range.next, to: range.to })),
      ...taken,
      { from, to },
    ])
    if (open === undefined) {
      this.#blocks.set(block, { material, ranges: [{ next: from, to, deadlineMs }], taken: new Set() })
      return
    }
    // The store may have shredded the cells that stand in the book by now, and the book those that it gave out.
    for (const { next, to: end } of open.ranges) copyCells(open.material, material, next, end)
    for (const { offset, cells } of open.taken) copyCells(open.material, material, offset, offset + cells)
    open.material.wipe()
    open.material = material
    const last = open.ranges.at(-1)
    // Joined ranges serve larger keys; the earlier deadline holds for both until it is renewed.
    if (last?.to === from) last.to = to
    else open.ranges.push({ next: from, to, deadlineMs })
  }

  /** Takes `cells` contiguous cells of a block that `serves`, or undefined. They stay at hand until `keyAt` or `giveBack`. */
  take(cells: number, nowMs: number, serves: (block: bigint) => boolean = () => true): CellRange | undefined {
    for (const [block, { ranges, taken }] of this.#blocks) {
      if (!serves(block)) continue
      for (const range of ranges) {
        if (range.to - range.next < cells || range.deadlineMs <= nowMs) continue
        const offset = range.next
        range.next += cells
        this.#cells -= cells
        const place = { block, offset, cells, deadlineMs: range.deadlineMs }
        taken.add(place)
        return place
      }
    }
    return undefined
  }

  /** Gives back what was taken and shown to nobody; false where its block is gone, and the cells with it. */
  giveBack(place: CellRange): boolean {
    const { block, offset, cells, deadlineMs } = place
    const open = this.#blocks.get(block)
    if (open?.taken.delete(place) !== true) return false
    // A renewal that was asked for meanwhile was for what lay behind them: the peer lets these go at their own time.
    open.ranges = joined([...open.ranges, { next: offset, to: offset + cells, deadlineMs }])
    this.#cells += cells
    return true
  }

  /**
   * The key that `make` gives of a taken place's block; the book's own bytes of the place are wiped after it. Undefined where
   * the block is gone, or the lease ended meanwhile: the cells are burned.
   */
  keyAt(place: CellRange, nowMs: number, make: (material: SecretKey) => SecretKey): SecretKey | undefined {
    const { block, offset, cells, deadlineMs } = place
    const open = this.#blocks.get(block)
    if (open?.taken.delete(place) !== true) return undefined
    const secret = deadlineMs > nowMs ? make(open.material) : undefined
    wipeCells(open.material, offset, cells)
    return secret
  }

  /** Unused rests whose deadline lies before `beforeMs`. */
  expiring(beforeMs: number): { block: bigint; from: number; to: number }[] {
    const found: { block: bigint; from: number; to: number }[] = []
    for (const [block, { ranges }] of this.#blocks) {
      for (const { next, to, deadlineMs } of ranges) {
        if (deadlineMs < beforeMs && next < to) found.push({ block, from: next, to })
      }
    }
    return found
  }

  /** A renewal of `from` to `to` was acknowledged: what is left of the ranges there lives until `deadlineMs`. */
  renew(block: bigint, from: number, to: number, deadlineMs: number): void {
    const open = this.#blocks.get(block)
    if (open === undefined) return
    const renewed = open.ranges.flatMap(range => {
      // Where more was leased on to it meanwhile, the earlier deadline holds for both until the whole is renewed.
      if (range.to <= from || range.to > to) return [range]
      if (range.next >= from) return [{ ...range, deadlineMs }]
      return [
        { ...range, to: from },
        { ...range, next: from, deadlineMs },
      ]
    })
    open.ranges = joined(renewed)
  }

  /** Strikes ranges that are used up or past their deadline; blocks without any, and the oldest of too many, are closed. */
  sweep(nowMs: number, { maxBlocks }: { maxBlocks: number }): { burnedCells: number; closed: bigint[] } {
    let burnedCells = 0
    const closed: bigint[] = []
    for (const block of [...this.#blocks.keys()].slice(0, Math.max(0, this.#blocks.size - maxBlocks))) {
      if (this.#blocks.get(block)!.taken.size > 0) continue
      burnedCells += this.strike(block)
      closed.push(block)
    }
    const struckCells = burnedCells
    for (const [block, open] of this.#blocks) {
      open.ranges = open.ranges.filter(range => {
        if (range.next >= range.to) return false
        if (range.deadlineMs > nowMs) return true
        burnedCells += range.to - range.next
        return false
      })
      if (open.ranges.length > 0 || open.taken.size > 0) continue
      open.material.wipe()
      this.#blocks.delete(block)
      closed.push(block)
    }
    this.#cells -= burnedCells - struckCells
    return { burnedCells, closed }
  }

  /** Forgets a block whose key material was destroyed; gives the cells that went with it. */
  strike(block: bigint): number {
    const open = this.#blocks.get(block)
    if (open === undefined) return 0
    const cells = open.ranges.reduce((sum, { next, to }) => sum + to - next, 0)
    open.material.wipe()
    this.#blocks.delete(block)
    this.#cells -= cells
    return cells
  }

  /** Forgets all; gives the cells that could have been taken. What was taken and not given out is burned with them. */
  burnAll(): number {
    return [...this.#blocks.keys()].reduce((cells, block) => cells + this.strike(block), 0)
  }

  wipe(): void {
    this.burnAll()
  }
}

/** The ranges in ascending order; neighbours of one deadline become one, so that larger keys fit in. */
function joined(ranges: LeasedRange[]): LeasedRange[] {
  const result: LeasedRange[] = []
  for (const range of ranges.sort((a, b) => a.next - b.next)) {
    const last = result.at(-1)
    if (range.next >= range.to) continue
    if (last?.to === range.next && last.deadlineMs === range.deadlineMs) last.to = range.to
    else result.push(range)
  }
  return result
}
