import { PoolExhaustedError } from '../errors.ts'
import type { Key, SecurityLevel } from '../interface/kms.ts'
import { cellsFor } from '../key/cells.ts'
import type { SaePair } from '../key/key-id.ts'
import { levelOf } from '../key/selection.ts'
import { kindForSuite } from '../key/virtual-block.ts'
import type { Admitted } from './policy/admission.ts'
import type { IssueRequest, KeyLabel } from './pool/issuer.ts'
import type { KeyPool } from './pool/key-pool.ts'

/** A request that finds its key in stock but not under lease is a round trip away from it, and no case of a dry pool. */
const LEASE_WAIT_MS = 1000

/** A request that policy let in, and what to do as it is served. */
export interface IssueWish {
  readonly pair: SaePair
  readonly admitted: Admitted
  /** Cells of the stock that it must leave to others. */
  readonly reservedCells: number
  /** How long it may take in all, in milliseconds. */
  readonly waitMs: number
  readonly signal: AbortSignal | undefined
  /** Writes what is about to leave; `loweredFrom` is the level that was asked for, where the keys have a lower one. */
  readonly auditFor: (
    loweredFrom: SecurityLevel | undefined,
  ) => ((keys: readonly KeyLabel[]) => Promise<void>) | undefined
  /** Called where a request that allows to be lowered was served: at the level `to`, which may be its own. */
  readonly onServed: (from: SecurityLevel, to: SecurityLevel) => void
}

/**
 * Fresh keys of the level asked for; where the pool is dry and rule and request both allow it, of the one that the rule falls
 * back to. Every key says the level that it has.
 * @throws {PoolExhaustedError} neither is to be had in time; nothing was consumed
 */
export async function issueOrLower(pool: KeyPool, wish: IssueWish): Promise<Key[]> {
  const { admitted, pair, reservedCells, signal, auditFor, onServed } = wish
  const { lowering, number, sizeBytes, suite, priority, trustClasses } = admitted
  const level = levelOf(suite)
  const sinceMs = performance.now()
  // Written out, not spread: this stands on the path of every key, and a spread of so many fields costs a microsecond.
  const asked = (waitMs: number): IssueRequest => ({
    pair,
    number,
    sizeBytes,
    suite,
    priority,
    trustClasses,
    signal,
    reservedCells,
    waitMs,
    audit: auditFor(undefined),
  })
  try {
    const keys = await pool.issue(asked(firstWaitMs(pool, wish)))
    if (lowering?.isWanted) onServed(level, level)
    return keys
  } catch (error) {
    if (!(error instanceof PoolExhaustedError) || lowering === undefined) throw error
    if (!lowering.isWanted) throw withHint(error, admitted.ruleName, lowering.level)
    const waitMs = Math.max(0, wish.waitMs - (performance.now() - sinceMs))
    const lowered = { ...asked(waitMs), suite: lowering.suite, reservedCells: 0, audit: auditFor(level) }
    const keys = await issueLowered(pool, lowered, lowering)
    onServed(level, lowering.level)
    return keys
  }
}

async function issueLowered(
  pool: KeyPool,
  request: IssueRequest,
  { charge, refund }: NonNullable<Admitted['lowering']>,
): Promise<Key[]> {
  charge()
  try {
    return await pool.issue(request)
  } catch (error) {
    refund()
    throw error
  }
}

function firstWaitMs(pool: KeyPool, { admitted, reservedCells, waitMs }: IssueWish): number {
  const { number, sizeBytes, suite } = admitted
  const policyMs = admitted.waitMs ?? waitMs
  if (policyMs >= Math.min(waitMs, LEASE_WAIT_MS)) return Math.min(waitMs, policyMs)
  const { connected, issuableCells, virtualCells } = pool.status()
  const kind = kindForSuite(suite)
  const stock = kind === 'network' ? issuableCells - reservedCells : virtualCells[kind]
  const isInStock = connected && stock >= cellsFor(sizeBytes) * number
  return Math.min(waitMs, isInStock ? LEASE_WAIT_MS : policyMs)
}

function withHint(error: PoolExhaustedError, ruleName: string, level: SecurityLevel): PoolExhaustedError {
  const { retryAfterMs } = error
  return new PoolExhaustedError(
    `${error.message}; rule "${ruleName}" would give keys of level ${level} to a request with minLevel ${level}`,
    { cause: error, details: error.details, ...(retryAfterMs !== undefined && { retryAfterMs }) },
  )
}
