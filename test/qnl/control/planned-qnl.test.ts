import { expect } from 'chai'
import { PlannedQnl } from '../../../lib/qnl/control/planned-qnl.ts'
import { createRelayNetwork } from '../../helpers/relay-network.ts'

const demand = { rateBps: 1000, weight: 1, kind: 'continuous', mode: 'multipath' } as const

describe('PlannedQnl', () => {
  it('answers a demand when there is a plan with it, and one that only says how full the pool is at once', async () => {
    await using network = await createRelayNetwork({ links: ['a-b', 'b-c'] })
    let waits = 0
    let planned = () => {}
    const qnl = new PlannedQnl(network.node('a'), {
      onPlan: listener => {
        waits += 1
        planned = listener
        return () => {}
      },
    })
    const granted = qnl.setDemand('c', demand)
    network.plan({ paths: ['a-b-c'], rateBps: 600 })
    planned()
    expect((await granted).rateBps).to.equal(600)
    const again = await qnl.setDemand('c', { ...demand, pool: { stockBits: 1, targetBits: 2 } })
    expect([again.rateBps, waits]).to.deep.equal([600, 1])
    expect(network.node('a').report().demands[0]!.demand.pool).to.deep.equal({ stockBits: 1, targetBits: 2 })
    const other = qnl.setDemand('c', { ...demand, rateBps: 2000 })
    planned()
    expect((await other).rateBps).to.equal(600)
    expect(waits).to.equal(2)
  })
})
