import { expect } from 'chai'
import { generateNetwork } from '../../../examples/networks/generate.ts'
import { planNetwork } from '../../../lib/qnl/planner/plan-network.ts'
import { PlanWorker } from '../../../lib/qnl/planner/plan-worker.ts'
import { rejectsWith } from '../../helpers/rejects-with.ts'

describe('PlanWorker', function () {
  this.timeout(60_000)
  const network = generateNetwork({ kind: 'metro', nodes: 12, links: 18, seed: 1 })

  it('gives the plans of planNetwork, in order, while this thread goes on', async () => {
    await using worker = new PlanWorker()
    let turns = 0
    const timer = setInterval(() => turns++, 1)
    const plans = await Promise.all([1, 2, 3].map(epoch => worker.plan(network, { epoch })))
    clearInterval(timer)
    expect(plans.map(({ epoch }) => epoch)).to.deep.equal([1, 2, 3])
    expect(plans[2]).to.deep.equal(await planNetwork(network, { epoch: 3 }))
    expect(turns).to.be.above(3)
  })

  it('rejects impossible input with the code and details it has on this thread', async () => {
    await using worker = new PlanWorker()
    const wrong = { ...network, links: [{ ...network.links[0]!, b: 'x' }] }
    const error = await rejectsWith(worker.plan(wrong), 'ERR_QKD_CONFIG')
    expect(error.details).to.deep.equal([{ path: '/links/0/b', message: 'no node has the id "x"' }])
    expect((await worker.plan(network)).lambda).to.be.above(0)
  })

  it('ends the plan in work at an abort and goes on with those behind it', async () => {
    await using worker = new PlanWorker()
    const [first, second] = [new AbortController(), new AbortController()]
    const settled = Promise.allSettled([
      worker.plan(network, { signal: first.signal }),
      worker.plan(network, { signal: second.signal }),
      worker.plan(network, { epoch: 3 }),
    ])
    second.abort(new Error('not needed'))
    first.abort(new Error('too slow'))
    const outcomes = (await settled).map(outcome =>
      outcome.status === 'fulfilled' ? outcome.value.epoch : outcome.reason.message,
    )
    expect(outcomes).to.deep.equal(['too slow', 'not needed', 3])
    const gone = await worker
      .plan(network, { signal: AbortSignal.abort(new Error('gone')) })
      .catch((error: Error) => error)
    expect(gone).to.include({ message: 'gone' })
  })

  it('refuses plans once too many wait', async () => {
    await using worker = new PlanWorker()
    const taken = Array.from({ length: 17 }, () => worker.plan(network).catch(() => {}))
    const refused = await worker.plan(network).catch((error: Error) => error)
    expect(refused).to.be.instanceOf(RangeError)
    await worker.close()
    await Promise.all(taken)
  })

  it('rejects what waits when it is closed, and everything after', async () => {
    const worker = new PlanWorker()
    const waiting = rejectsWith(worker.plan(network), 'ERR_QKD_CLOSED')
    await worker.close()
    await worker.close()
    await waiting
    await rejectsWith(worker.plan(network), 'ERR_QKD_CLOSED')
  })
})
