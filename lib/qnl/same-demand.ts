import type { Demand } from '../interface/qnl.ts'

/** Whether both ask the network for the same: what they say of the pool's level, and of the time that is left, does not count. */
export function isSameDemand(one: Demand, other: Demand): boolean {
  return (
    one.rateBps === other.rateBps &&
    one.weight === other.weight &&
    one.mode === other.mode &&
    one.shares === other.shares &&
    one.kind === other.kind &&
    (one.deadlineMs === undefined) === (other.deadlineMs === undefined)
  )
}
