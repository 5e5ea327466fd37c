import { ProtocolError } from '../../errors.ts'
import { type MessageFields, STORE_BITS, WIRE_VERSION } from './peer-wire.ts'

export type Hello = MessageFields<'hello'>

/** What two hellos mean; both sides compute the same from the same two. */
export interface Agreement {
  /** The shorter of both lifetimes. */
  readonly lifetimeMs: number
  /** Set when both sides must drop everything and begin anew. */
  readonly reset:
    | { readonly poolEpoch: number; readonly sealEpoch: number; readonly floor: bigint; readonly reason: string }
    | undefined
  /** Whose store was put back, where the other can say what it forgot. */
  readonly resync: 'local' | 'remote' | undefined
  /** What becomes of a root that this side has stored as the next one: the peer goes by it already, or never heard of it. */
  readonly pending: 'promote' | 'discard' | undefined
}

/** More commits than any store ever makes. A resync would jump beyond what is claimed, and in the end use the numbers up. */
const MAX_COMMITS = 2 ** 51
/** Epochs that no pair ever comes to; and how far two that were led there, by a peer that lied once, may yet be apart. */
const MAX_EPOCH = 2 ** 31
const EPOCHS_APART = 256
/** The same for the numbers of blocks, of which the network's end at 2^63. */
const MAX_FLOOR = 2n ** 62n
const FLOORS_APART = 2n ** 32n
const ROLLED_BACK = 'a store was rolled back'

/**
 * Row 1. One store that was put back takes what it forgot from the other (rows 24 to 26), where that one is sure of itself.
 * Where neither can be the other's witness (R5), or the pair secret is lost, or a reset was cut short, everything goes on
 * both sides, the pair secret too (row 27): a key_ID from before opens to nothing.
 */
export function agree(local: Hello, remote: Hello): Agreement {
  if (remote.version !== WIRE_VERSION) {
    throw new ProtocolError(
      `The peer speaks version ${remote.version} of the pool protocol; this one speaks ${WIRE_VERSION}`,
    )
  }
  if (remote.poolId !== local.poolId)
    throw new ProtocolError(`The peer speaks of pool ${remote.poolId}, not ${local.poolId}`)
  requireEpoch(remote.poolEpoch, local.poolEpoch)
  requireEpoch(remote.sealEpoch, local.sealEpoch)
  requireFloor(remote.floor, local.floor)
  const lifetimeMs = Math.min(local.lifetimeMs, remote.lifetimeMs)
  const isCurrent = isSame(local.rootCheck, remote.rootCheck)
  // A crash in the middle of a refresh: one side goes by the next root, the other has stored it.
  const isOurNext = !isCurrent && isSame(local.pendingCheck, remote.rootCheck)
  const isTheirNext = !isCurrent && isSame(local.rootCheck, remote.pendingCheck)
  // By how much the other may be ahead in the count of epochs; undefined where the two share no root.
  const ahead = isCurrent ? 0 : isOurNext ? 1 : isTheirNext ? -1 : undefined
  const reason = resetReason(local, remote, ahead)
  const resync = reason === ROLLED_BACK && isCurrent ? resyncSide(local, remote) : undefined
  if (reason === undefined || resync !== undefined) {
    const pending = isOurNext ? 'promote' : isSet(local.pendingCheck) ? 'discard' : undefined
    return { lifetimeMs, reset: undefined, resync, pending }
  }
  const poolEpoch = Math.max(local.poolEpoch, remote.poolEpoch) + 1
  const floor = local.floor > remote.floor ? local.floor : remote.floor
  const isFirst = reason === 'first contact'
  const sealEpoch = isFirst ? 0 : Math.max(local.sealEpoch, remote.sealEpoch) + 1
  return { lifetimeMs, reset: { poolEpoch, sealEpoch, floor, reason }, resync, pending: undefined }
}

/** True where a side says that its store was put back, or it is behind what the other side has heard of it. */
export function isRolledBack(side: Hello, other: Hello): boolean {
  return (side.store & STORE_BITS.rolledBack) !== 0 || other.heardCommits > side.commits
}

/** @throws {ProtocolError} blocks that the network could never count beyond: a word that would end the pool for good */
export function requireFloor(claimed: bigint, own: bigint): void {
  if (claimed > (own > MAX_FLOOR ? own : MAX_FLOOR) + FLOORS_APART)
    throw new ProtocolError('The peer speaks of higher blocks than there can be')
}

function requireEpoch(claimed: number, own: number): void {
  if (claimed > Math.max(own, MAX_EPOCH) + EPOCHS_APART)
    throw new ProtocolError('The peer is in a later epoch than there can be')
}

/** The one side of two that was put back, if the other is known not to be; they must be of one pool epoch. */
function resyncSide(local: Hello, remote: Hello): 'local' | 'remote' | undefined {
  if (local.poolEpoch !== remote.poolEpoch || local.sealEpoch !== remote.sealEpoch) return undefined
  // Nobody can go on from there; beginning anew, each takes the other's number as it is.
  if (isAbsurd(local, remote) || isAbsurd(remote, local)) return undefined
  const isVouched = ({ store }: Hello) => (store & STORE_BITS.vouched) !== 0
  if (isRolledBack(local, remote)) return !isRolledBack(remote, local) && isVouched(remote) ? 'local' : undefined
  return isVouched(local) ? 'remote' : undefined
}

/** The other claims to have heard of what the side can neither have counted nor count on from. */
function isAbsurd(side: Hello, other: Hello): boolean {
  return other.heardCommits > Math.max(side.commits, MAX_COMMITS)
}

function resetReason(local: Hello, remote: Hello, ahead: number | undefined): string | undefined {
  if (!hasRoot(local) && !hasRoot(remote) && local.poolEpoch === 0 && remote.poolEpoch === 0) return 'first contact'
  if (isRolledBack(local, remote) || isRolledBack(remote, local)) return ROLLED_BACK
  if (ahead === undefined) return 'the pair secret was lost'
  if (local.poolEpoch !== remote.poolEpoch) return 'a reset was interrupted'
  // Each side's tags would be of another epoch for the other, for good.
  if (remote.sealEpoch - local.sealEpoch !== ahead) return 'the epochs of the pair secret differ'
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
