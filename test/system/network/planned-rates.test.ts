import { expect } from 'chai'
import { PairTakers, startTen, tenPairs } from '../../helpers/planned-rates.ts'

/** Key that each pair is to get, as so many seconds of its plan. */
const WORTH_SECONDS = 8

describe('a network of ten node processes', function () {
  this.timeout(300_000)

  // How close it comes to the plan in five minutes, at 10 Mb/s over relays in all, is measured: npm run soak -- network-rates.
  it('delivers to each pair, none of which shares a link, at both ends what its plan says', async () => {
    await using network = await startTen()
    await using takers = new PairTakers(network)
    await Promise.all(tenPairs.map(pair => takers.ask(pair, 1_000_000)))
    await takers.ready()
    const delivered = new Map<string, number>()
    let isServed = false
    for (let round = 0; !isServed && round < 30; round += 1) {
      const { pairs, seconds } = await takers.measure(4)
      for (const [pair, { deliveredBits }] of pairs) delivered.set(pair, (delivered.get(pair) ?? 0) + deliveredBits)
      isServed =
        pairs.size === tenPairs.length &&
        [...pairs].every(([pair, { plannedBits }]) => delivered.get(pair)! >= (plannedBits / seconds) * WORTH_SECONDS)
    }
    expect(isServed, `${JSON.stringify([...delivered])}\n${network.errors()}`).to.equal(true)
  })
})
