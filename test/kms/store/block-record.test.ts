import { expect } from 'chai'
import type { PoolRecord } from '../../../lib/interface/pool-store.ts'
import { virtualNumber } from '../../../lib/key/virtual-block.ts'
import { decodePool, encodePool, newPoolRecord } from '../../../lib/kms/store/block-record.ts'
import { isSpent, raisedPast } from '../../../lib/kms/store/number-floor.ts'

describe('the record of a pool', () => {
  const record: PoolRecord = {
    ...newPoolRecord(),
    commits: 7,
    floor: 40n,
    virtualFloors: [3n, 1n << 59n],
    poolEpoch: 2,
  }

  it('is read as it was written', () => {
    expect(decodePool(encodePool(record))).to.deep.equal(record)
  })

  it('is read as it was written before there were virtual blocks', () => {
    const bytes = encodePool(record)
    const old = Buffer.concat([Buffer.from([1]), bytes.subarray(1, bytes.length - 16)])
    expect(decodePool(old)).to.deep.equal({ ...record, virtualFloors: [0n, 0n] })
  })

  it('is not read in a format that is yet to come', () => {
    const bytes = encodePool(record)
    bytes[0] = 99
    expect(() => decodePool(bytes)).to.throw('format 99')
  })

  it('counts the numbers of the network and of both lanes apart', () => {
    const number = (lane: 0 | 1, sequence: bigint) => virtualNumber('expanded', lane, sequence)
    expect([40n, 41n].map(block => isSpent(record, block))).to.deep.equal([true, false])
    expect([3n, 4n].map(sequence => isSpent(record, number(0, sequence)))).to.deep.equal([true, false])
    expect(isSpent(record, number(1, 4n))).to.equal(true)
    expect(isSpent(record, virtualNumber('post-quantum', 0, 3n)), 'both kinds count together').to.equal(true)
    expect(raisedPast(record, 50n)).to.deep.equal({ floor: 50n })
    expect(raisedPast(record, number(0, 9n))).to.deep.equal({ virtualFloors: [9n, 1n << 59n] })
  })
})
