import { expect } from 'chai'
import { PairTakers, startTen, tenPairs } from '../../helpers/planned-rates.ts'

describe('a network of ten node processes', function () {
  this.timeout(240_000)

  // Over five minutes of changing demand, and with weights: npm run soak -- network-rates.
  it('delivers at both ends what its plan says, 10 Mb/s over relays in all', async () => {
    await using network = await startTen()
    await using takers = new PairTakers(network)
    await Promise.all(tenPairs.map(pair => takers.ask(pair, 1_000_000)))
    await takers.ready()
    await takers.measure(5)
    const { pairs, relayedBps } = await takers.measure(15)
    const sum = (of: (pair: { plannedBits: number; deliveredBits: number }) => number) =>
      [...pairs.values()].reduce((all, pair) => all + of(pair), 0)
    expect(pairs.size).to.equal(10)
    expect(relayedBps).to.be.above(9_700_000)
    const share = sum(pair => pair.deliveredBits) / sum(pair => pair.plannedBits)
    expect(share, network.errors()).to.be.at.least(0.95)
  })
})
