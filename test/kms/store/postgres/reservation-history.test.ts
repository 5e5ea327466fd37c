import { expect } from 'chai'
import { historyFaults, type Reservation } from '../../../helpers/reservation-history.ts'

/** Reservations as [index, begun, ended]. */
const history = (...steps: [number, number, number][]): Reservation[] =>
  steps.map(([index, begun, ended], at) => ({
    index,
    begunNs: BigInt(begun),
    endedNs: BigInt(ended),
    by: `caller ${at}`,
  }))

describe('historyFaults', () => {
  it('passes callers one after the other, and those at the same time in any order', () => {
    expect(historyFaults(history([1, 0, 1], [2, 2, 3], [3, 4, 5]))).to.deep.equal([])
    expect(historyFaults(history([2, 0, 10], [1, 5, 12], [3, 11, 13]))).to.deep.equal([])
  })

  it('passes indexes that nobody got', () => {
    expect(historyFaults(history([1, 0, 1], [7, 2, 3]))).to.deep.equal([])
  })

  it('finds an index that was given twice, however far apart', () => {
    expect(historyFaults(history([1, 0, 1], [2, 2, 3], [1, 100, 101])).join()).to.contain('index 1 was given to')
    expect(historyFaults(history([1, 0, 9], [1, 0, 9]))).to.have.length(1)
  })

  it('finds an owner that goes on where it was after another one has answered', () => {
    expect(historyFaults(history([5, 0, 1], [9, 2, 3], [6, 4, 5]))).to.have.length(1)
  })

  it('finds a late one behind many that overlap', () => {
    const overlapping = Array.from({ length: 50 }, (_, at): [number, number, number] => [at, 0, 100 + at])
    expect(historyFaults(history(...overlapping))).to.deep.equal([])
    expect(historyFaults(history(...overlapping, [-1, 101, 200]))).to.have.length(1)
  })
})
