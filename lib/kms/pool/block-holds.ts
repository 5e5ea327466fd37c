import { PolicyError } from '../../errors.ts'
import type { BlockRecord } from '../../interface/pool-store.ts'
import type { BlockLedger } from './block-ledger.ts'
import { type StoredWay, wayOf } from './block-way.ts'

/** Something that keeps keys of this pool back. */
export interface Hold {
  /** What is said to who asks for such a key. */
  readonly id: string
  /** True where it is for whole blocks, whoever gets their keys. */
  readonly isForAll: boolean
  /** True where it goes by hosts alone, and a time range by when a key was issued. */
  readonly isForSaes: boolean
  /** True where no block is free of it, so that nobody whom it is about need wait for one. */
  readonly isAnyBlock: boolean
  /** True where it is about what came that way; the same at every call. */
  holdsWay(way: StoredWay): boolean
  /** True where it is about keys that these SAEs get; `issuedSinceMs`: not issued before, wall clock. */
  holdsKey(saeIds: readonly string[], issuedSinceMs: number): boolean
}

/** A key that is about to leave: who gets it, and the earliest time at which it can have been issued (default now). */
export interface LeavingKey {
  readonly saeIds: readonly string[]
  readonly issuedSinceMs?: number
}

/**
 * What is held back in one pool. While nothing is, a question costs a comparison; otherwise each block is looked at once and the
 * holds on it are kept.
 */
export class BlockHolds {
  readonly #ledger: BlockLedger
  #holds: readonly Hold[] = []
  readonly #onBlocks = new Map<bigint, readonly Hold[]>()

  constructor(ledger: BlockLedger) {
    this.#ledger = ledger
    ledger.onDeath(number => this.#onBlocks.delete(number))
  }

  get isOpen(): boolean {
    return this.#holds.length > 0
  }

  /** These hold from now on, and no others. */
  set(holds: readonly Hold[]): void {
    this.#holds = holds
    this.#onBlocks.clear()
    for (const block of this.#ledger.blocks()) this.enter(block)
  }

  /** Enters a row, or a newer one: what is held is not in stock. */
  enter(block: BlockRecord): void {
    const { unleased } = this.#ledger
    if (this.has(block.number)) unleased.delete(block.number)
    else unleased.set(block)
  }

  /** True where nothing of the block may leave, or, where a key is named, not this one. */
  has(number: bigint, key?: LeavingKey): boolean {
    return this.isOpen && this.#holdOn(number, key) !== undefined
  }

  /**
   * The last word before a key of that block leaves.
   * @throws {PolicyError} it is held back
   */
  requireFree(number: bigint, key: LeavingKey): void {
    const hold = this.isOpen ? this.#holdOn(number, key) : undefined
    if (hold !== undefined) throw heldBack(hold)
  }

  /**
   * The first word on a request, before it waits for a block that it could not have.
   * @throws {PolicyError} these SAEs get no keys now, whatever block they came from
   */
  requireFreeSaes(saeIds: readonly string[]): void {
    const isOn = (each: Hold) => each.isForAll || each.holdsKey(saeIds, Number.POSITIVE_INFINITY)
    const hold = this.#holds.find(each => each.isAnyBlock && isOn(each))
    if (hold !== undefined) throw heldBack(hold)
  }

  /**
   * The same for a key whose bytes lie in no block of this pool, or came by others' too.
   * @throws {PolicyError} it is held back
   */
  requireFreeWays(ways: readonly StoredWay[], saeIds: readonly string[]): void {
    const isOn = (hold: Hold) => ways.some(way => hold.holdsWay(way)) && (hold.isForAll || hold.holdsKey(saeIds, 0))
    const hold = this.#holds.find(isOn)
    if (hold !== undefined) throw heldBack(hold)
  }

  /** The live blocks that the hold of that ID is about. */
  blocksOf(id: string): BlockRecord[] {
    const isOn = ({ number }: BlockRecord) => this.#holdsOn(number).some(hold => hold.id === id)
    return this.isOpen ? [...this.#ledger.blocks()].filter(block => isAlive(block) && isOn(block)) : []
  }

  #holdOn(number: bigint, key: LeavingKey | undefined): Hold | undefined {
    return this.#holdsOn(number).find(
      hold =>
        hold.isForAll ||
        (key !== undefined && hold.holdsKey(key.saeIds, key.issuedSinceMs ?? Number.POSITIVE_INFINITY)),
    )
  }

  #holdsOn(number: bigint): readonly Hold[] {
    const known = this.#onBlocks.get(number)
    if (known !== undefined) return known
    const block = this.#ledger.block(number)
    if (block === undefined) return []
    const way = wayOf(this.#ledger, block)
    const holds = this.#holds.filter(hold => hold.holdsWay(way))
    this.#onBlocks.set(number, holds)
    return holds
  }
}

function isAlive({ state }: BlockRecord): boolean {
  return state !== 'drained' && state !== 'dropped'
}

/** A host hears that its key is held back, and by which incident; not why. */
export function heldBack({ id }: { readonly id: string }): PolicyError {
  return new PolicyError(`The key is held back by incident ${id}`, { details: [{ incident: id }] })
}
