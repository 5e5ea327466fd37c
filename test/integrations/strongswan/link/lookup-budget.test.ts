import { expect } from 'chai'
import { LookupBudget } from '../../../../integrations/strongswan/link/lookup-budget.ts'

describe('LookupBudget', () => {
  it('gives a few at once, and then as many as time brings', () => {
    let nowMs = 0
    const budget = new LookupBudget({ burst: 3, perSecond: 2, maxPending: 9, now: () => nowMs })
    const taken = () => budget.take() !== undefined
    expect([taken(), taken(), taken(), taken()]).to.deep.equal([true, true, true, false])
    nowMs = 400
    expect(taken()).to.equal(false)
    nowMs = 500
    expect([taken(), taken()]).to.deep.equal([true, false])
    nowMs = 60_000
    expect([taken(), taken(), taken(), taken()]).to.deep.equal([true, true, true, false])
  })

  it('has only so many under way', () => {
    const budget = new LookupBudget({ burst: 9, maxPending: 1, now: () => 0 })
    const done = budget.take()
    expect(budget.take()).to.equal(undefined)
    done?.()
    expect(budget.take()).to.be.a('function')
  })
})
