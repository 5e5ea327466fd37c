import { ProtocolError } from '../../errors.ts'
import { type MessageFields, WIRE_VERSION } from './peer-wire.ts'

export type Hello = MessageFields<'hello'>

/** What two hellos mean; both sides compute the same from the same two. */
export interface Agreement {
  /** The shorter of both lifetimes. */
  readonly lifetimeMs: number
  /** Set when both sides must drop everything and begin anew. */
  readonly reset:
    | { readonly poolEpoch: number; readonly sealEpoch: number; readonly floor: bigint; readonly reason: string }
    | undefined
  /** What becomes of a root that this side has stored as the next one: the peer goes by it already, or never heard of it. */
  readonly pending: 'promote' | 'discard' | undefined
}

/**
 * Row 1, with the simplest cure for every kind of lost state: when one store is older than what the other has heard of
 * it (rows 24 to 27), or both are not in the same pool epoch, everything goes on both sides, the pair secret too: a key_ID from
 * before opens to nothing. It costs the stock, and never gives an index out twice.
 */
export function agree(local: Hello, remote: Hello): Agreement {
  if (remote.version !== WIRE_VERSION) {
    throw new ProtocolError(
      `The peer speaks version ${remote.version} of the pool protocol; this one speaks ${WIRE_VERSION}`,
    )
  }
  if (remote.poolId !== local.poolId)
    throw new ProtocolError(`The peer speaks of pool ${remote.poolId}, not ${local.poolId}`)
  const lifetimeMs = Math.min(local.lifetimeMs, remote.lifetimeMs)
  const isCurrent = isSame(local.rootCheck, remote.rootCheck)
  // A crash in the middle of a refresh: one side goes by the next root, the other has stored it.
  const isOurNext = !isCurrent && isSame(local.pendingCheck, remote.rootCheck)
  const isTheirNext = !isCurrent && isSame(local.rootCheck, remote.pendingCheck)
  const sameRoot = isCurrent || isOurNext || isTheirNext
  const reason = resetReason(local, remote, sameRoot)
  if (reason === undefined) {
    const pending = isOurNext ? 'promote' : isSet(local.pendingCheck) ? 'discard' : undefined
    return { lifetimeMs, reset: undefined, pending }
  }
  const poolEpoch = Math.max(local.poolEpoch, remote.poolEpoch) + 1
  const floor = local.floor > remote.floor ? local.floor : remote.floor
  const isFirst = reason === 'first contact'
  const sealEpoch = isFirst ? 0 : Math.max(local.sealEpoch, remote.sealEpoch) + 1
  return { lifetimeMs, reset: { poolEpoch, sealEpoch, floor, reason }, pending: undefined }
}

/** True where a side's store is behind what the other side has heard of it. */
export function isRolledBack(side: Hello, other: Hello): boolean {
  return other.heardCommits > side.commits
}

function resetReason(local: Hello, remote: Hello, sameRoot: boolean): string | undefined {
  if (!hasRoot(local) && !hasRoot(remote) && local.poolEpoch === 0 && remote.poolEpoch === 0) return 'first contact'
  if (isRolledBack(local, remote) || isRolledBack(remote, local)) return 'a store was rolled back'
  if (!sameRoot) return 'the pair secret was lost'
  if (local.poolEpoch !== remote.poolEpoch) return 'a reset was interrupted'
  return undefined
}

function hasRoot({ rootCheck }: Hello): boolean {
  return isSet(rootCheck)
}

function isSet(check: Uint8Array): boolean {
  return check.some(byte => byte !== 0)
}

function isSame(a: Uint8Array, b: Uint8Array): boolean {
  return isSet(a) && Buffer.from(a).equals(b)
}
