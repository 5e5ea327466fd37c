import { ProtocolError } from '../../errors.ts'
import type { Change } from '../../interface/pool-store.ts'
import { StandingAlarms } from '../standing-alarms.ts'
import type { BlockLedger } from './block-ledger.ts'
import { HourlyLimit } from './hourly-limit.ts'
import { decodeLosses, encodeLosses, LOSS_NOTE, type PoolLosses } from './loss-note.ts'
import type { MessageFields } from './peer-wire.ts'
import { type ResyncReport, resync, tellState } from './resync.ts'
import { cellsLeft } from './resync-merge.ts'
import type { HandshakeWire } from './root-agreement.ts'
import { markRolledBack, type StoreStanding } from './store-standing.ts'

/** What a peer may cost a pool within an hour. */
export interface TroubleLimits {
  /** How often it may be put back, begin anew, or say that this site's store was put back. Default 10. */
  readonly restoresPerHour?: number
  /** Blocks whose copies may differ. Default 100. */
  readonly mismatchesPerHour?: number
}

/** What the restores of a pool work on and with. */
export interface RestoresOptions extends TroubleLimits {
  readonly ledger: BlockLedger
  readonly standing: StoreStanding
  /** Burns what this process has under lease, everywhere that a key could come from. */
  readonly burnLeases: (reason: string) => void
  /** Called when the peer has been too much trouble: its session ends. */
  readonly onSuspend: () => void
  /** Wall clock, and one that never steps, in milliseconds. */
  readonly now: () => number
  readonly monotonicMs: () => number
}

const RESTORED = 'store-rolled-back'
const SUSPENDED = 'pool-suspended'
const FIRST_CONTACT = 'first contact'

/**
 * What becomes of a pool when a store was put back (rows 24 to 27): found out, made good with the peer's word or by
 * beginning anew, reported. And the bound on it: a peer that claims it again and again burns what both have, so its pool
 * is suspended, and no other.
 */
export class Restores {
  readonly #options: RestoresOptions
  readonly #alarms: StandingAlarms
  readonly #restores: HourlyLimit
  readonly #mismatches: HourlyLimit

  constructor(options: RestoresOptions) {
    const { ledger, monotonicMs, restoresPerHour = 10, mismatchesPerHour = 100 } = options
    this.#options = options
    this.#alarms = new StandingAlarms({ telemetry: ledger.telemetry, scope: ledger.pair.name })
    this.#restores = new HourlyLimit(restoresPerHour, monotonicMs)
    this.#mismatches = new HourlyLimit(mismatchesPerHour, monotonicMs)
    if (ledger.pool.rolledBack) this.#raise()
  }

  /** What was lost so far; undefined for nothing ever. */
  get losses(): PoolLosses | undefined {
    const note = this.#options.ledger.note(LOSS_NOTE)
    return note && decodeLosses(note.value)
  }

  /** How long the pool is suspended yet, in milliseconds; 0 for not. */
  get suspendedMs(): number {
    return Math.max(this.#restores.waitMs, this.#mismatches.waitMs)
  }

  /** A session may begin. @throws {ProtocolError} the pool is suspended */
  admit(): void {
    if (this.suspendedMs > 0) throw this.#suspended()
    this.#alarms.clear(SUSPENDED, `The hour of the pool with ${this.#options.ledger.remoteSiteId} is over`)
  }

  /** Row 5 has happened. */
  mismatch(): void {
    this.#mismatches.count()
    if (this.#mismatches.waitMs > 0) this.#suspend('too many of its blocks differ from ours')
  }

  /** Row 24: this store was put back, by what the peer has heard of it or by what it knew itself. Durable when this resolves. */
  async found(heardByPeer: number): Promise<void> {
    const { ledger, burnLeases } = this.#options
    const isPeersWord = !ledger.pool.rolledBack
    if (isPeersWord) this.#admitOne()
    burnLeases('this store was put back')
    this.#raise(heardByPeer)
    if (isPeersWord) await markRolledBack(ledger)
  }

  /** Rows 24 and 26. */
  async resync(wire: HandshakeWire, heardByPeer: number): Promise<void> {
    const { ledger, standing } = this.#options
    const cause = 'this store was put back'
    const also = ({ lostCells }: ResyncReport) => [this.#lossChange(cause, lostCells)]
    const { blocksKept, blocksDropped, lostCells } = await resync(ledger, wire, { heardByPeer, also })
    await standing.vouch()
    const peerSiteId = ledger.remoteSiteId
    ledger.telemetry.emit({ type: 'pool-resync', peerSiteId, side: 'local', blocksKept, blocksDropped, lostCells })
    this.#alarms.clear(
      RESTORED,
      `Made good with ${peerSiteId}: ${blocksKept} blocks go on, ${blocksDropped} went, ${lostCells} cells are lost`,
    )
  }

  /** Row 25: what stands under lease here is burned, since the peer will not serve keys of it any more. */
  answer(question: MessageFields<'resync'>, { send }: Pick<HandshakeWire, 'send'>): void {
    const { ledger, burnLeases } = this.#options
    this.#admitOne()
    burnLeases('the store of the peer was put back')
    tellState(ledger, question, send)
    const fields = { blocksKept: [...ledger.blocks()].length, blocksDropped: 0, lostCells: 0 }
    ledger.telemetry.emit({ type: 'pool-resync', peerSiteId: ledger.remoteSiteId, side: 'peer', ...fields })
  }

  /** Row 27, with what it costs; `run` writes the notes that it is given in its own commit. */
  async reset(cause: string, run: (notes: readonly Change[]) => Promise<void>): Promise<void> {
    const { ledger, standing } = this.#options
    const isFirst = cause === FIRST_CONTACT
    if (!isFirst && !ledger.pool.rolledBack) this.#admitOne()
    const all = [...ledger.blocks()]
    const lostCells = all.reduce((sum, block) => sum + cellsLeft(block, ledger.localSiteId), 0)
    // All notes go with a reset: this one begins anew with what the last one said.
    await run(isFirst ? [] : [{ ...this.#lossChange(cause, lostCells), from: 0 }])
    await standing.vouch()
    const { remoteSiteId: peerSiteId, pool } = ledger
    const { poolEpoch } = pool
    ledger.telemetry.emit({ type: 'pool-reset', peerSiteId, poolEpoch, blocks: all.length, lostCells, reason: cause })
    this.#alarms.clear(RESTORED, `The pool with ${peerSiteId} began anew; ${lostCells} cells are lost`)
  }

  #lossChange(lastCause: string, lostCells: number): Extract<Change, { kind: 'note' }> {
    const { ledger, now } = this.#options
    const { count, cells } = this.losses ?? { count: 0, cells: 0 }
    const value = encodeLosses({ count: count + 1, cells: cells + lostCells, lastAtMs: now(), lastCause })
    return { kind: 'note', name: LOSS_NOTE, from: ledger.note(LOSS_NOTE)?.version ?? 0, value }
  }

  #admitOne(): void {
    if (this.#restores.waitMs > 0) throw this.#suspended()
    this.#restores.count()
    // The last one of the hour is still served: what follows it is not.
    if (this.#restores.waitMs > 0) this.#alarm('its store was put back, or lost, too often within an hour')
  }

  #suspend(why: string): void {
    this.#alarm(why)
    this.#options.onSuspend()
  }

  #alarm(why: string): void {
    const { remoteSiteId: peerSiteId, telemetry } = this.#options.ledger
    const minutes = Math.ceil(this.suspendedMs / 60_000)
    const text = `The pool with ${peerSiteId} takes no session for up to ${minutes} min: ${why}. Other pools go on`
    telemetry.emit({ type: 'peer', peerSiteId, state: 'suspended', reason: why })
    this.#alarms.raise(SUSPENDED, { severity: 'critical', text })
  }

  #suspended(): ProtocolError {
    return new ProtocolError(`The pool with ${this.#options.ledger.remoteSiteId} is suspended`)
  }

  #raise(heardByPeer?: number): void {
    const { pool, remoteSiteId } = this.#options.ledger
    const how =
      heardByPeer === undefined ? '' : ` (${pool.commits} commits, ${remoteSiteId} has heard of ${heardByPeer})`
    this.#alarms.raise(RESTORED, {
      severity: 'critical',
      text: `The store of the pool with ${remoteSiteId} is an older copy${how}: it gives out nothing until ${remoteSiteId} has said what it forgot`,
    })
  }
}
