import type { PoolRecord } from '../../interface/pool-store.ts'
import { blockKind, sequenceOf } from '../../key/virtual-block.ts'

type Floors = Pick<PoolRecord, 'floor' | 'virtualFloors'>

/** True for a number that never comes again (R12): the network's blocks and each side's virtual ones are counted apart. */
export function isSpent({ floor, virtualFloors }: Floors, number: bigint): boolean {
  if (blockKind(number) === 'network') return number <= floor
  return sequenceOf(number) <= virtualFloors[laneOf(number)]
}

/** The floors once `number` has come. */
export function raisedPast({ floor, virtualFloors }: Floors, number: bigint): Partial<Floors> {
  if (blockKind(number) === 'network') return { floor: number > floor ? number : floor }
  const [first, second] = virtualFloors
  const sequence = sequenceOf(number)
  return { virtualFloors: laneOf(number) === 0 ? [sequence, second] : [first, sequence] }
}

function laneOf(number: bigint): 0 | 1 {
  return (number & 1n) === 0n ? 0 : 1
}
