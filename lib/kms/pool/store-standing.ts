import type { CommitMarks } from '../../interface/commit-marks.ts'
import type { BlockLedger } from './block-ledger.ts'
import { STORE_BITS } from './peer-wire.ts'

/** What the standing is made from. */
export interface StoreStandingOptions {
  readonly ledger: BlockLedger
  /** The commit numbers outside the store. Default there are none. */
  readonly marks?: CommitMarks | undefined
  /** Somebody says that the store was put back. */
  readonly afterRestore?: boolean | undefined
}

/**
 * What a site knows of the age of its own store without the peer (rule R6): whether it was put back; and whether it is
 * sure that it was not, since the pool epoch began. Only who is sure can be the witness of a peer that was put back: two
 * that both forgot would take each other's word (R5).
 */
export class StoreStanding {
  readonly #ledger: BlockLedger
  readonly #marks: CommitMarks | undefined
  #isVouched: boolean
  #noted = -1
  #hasMet = false

  private constructor(ledger: BlockLedger, marks: CommitMarks | undefined, isVouched: boolean) {
    this.#ledger = ledger
    this.#marks = marks
    this.#isVouched = isVouched
  }

  /** Compares the store with its marks; one that is behind is noted as put back, durably, before anything else. */
  static async open({ ledger, marks, afterRestore = false }: StoreStandingOptions): Promise<StoreStanding> {
    const { pool } = ledger
    const mark = marks?.read(ledger.pair.name)
    // A pool that began anew counts from where it was, and its first mark may have been lost with a crash.
    const isOfEpoch = mark?.poolEpoch === pool.poolEpoch
    const isBehind =
      mark !== undefined && (mark.poolEpoch > pool.poolEpoch || (isOfEpoch && mark.commits > pool.commits))
    if ((isBehind || afterRestore) && !pool.rolledBack) await markRolledBack(ledger)
    const isVouched = !ledger.pool.rolledBack && isOfEpoch && mark?.isWhole === true
    return new StoreStanding(ledger, marks, isVouched)
  }

  /** For the hello. */
  get bits(): number {
    if (this.#ledger.pool.rolledBack) return STORE_BITS.rolledBack
    return this.#isVouched ? STORE_BITS.vouched : 0
  }

  /** The pool began anew, or what its store forgot was made good: from here on this process has seen all of it. */
  async vouch(): Promise<void> {
    this.#isVouched = true
    this.note()
    // At once: a crash before the first mark of an epoch would leave nobody sure of it until the next.
    await this.#marks?.flush()
  }

  /**
   * The first session of this process is about to open, and keys with it: a number above that of every copy of the store from
   * before this process is written down first, so that no such copy is put back unnoticed, however soon this process ends.
   */
  async met(): Promise<void> {
    if (this.#marks === undefined || this.#hasMet) return
    const { poolEpoch } = this.#ledger.pool
    await this.#ledger.commit([{ kind: 'pool', poolEpoch, patch: {} }])
    this.note()
    await this.#marks.flush()
    this.#hasMet = true
  }

  /** Writes down how far the store is, where it has moved. Not before the peer was met: see `KeyPool`. */
  note(): void {
    const { commits, poolEpoch, rolledBack } = this.#ledger.pool
    if (rolledBack || commits === this.#noted) return
    this.#noted = commits
    this.#marks?.note(this.#ledger.pair.name, { poolEpoch, commits, isWhole: this.#isVouched })
  }
}

/** Row 24: the flag is durable before the peer is told, so that no crash makes the store look new. */
export async function markRolledBack(ledger: BlockLedger): Promise<void> {
  const { poolEpoch } = ledger.pool
  await ledger.commit([{ kind: 'pool', poolEpoch, patch: { rolledBack: true } }])
}
