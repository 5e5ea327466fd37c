import { expect } from 'chai'
import { describePlan } from '../../../lib/qnl/planner/describe-plan.ts'
import type { Plan } from '../../../lib/qnl/planner/plan.ts'

const path = (nodes: string, rateBps: number, set?: number) => ({
  nodes: [...nodes],
  links: ['x'],
  rateBps,
  ...(set === undefined ? {} : { set }),
})

const plan: Plan = {
  epoch: 3,
  lambda: 1.23456,
  bound: 1.25,
  gap: 0.012352,
  method: 'column-generation',
  validForMs: 1500,
  demands: [
    { id: 'wide', rateBps: 1_234_567, level: 2, paths: ['ab', 'acb', 'adb', 'aeb'].map(nodes => path(nodes, 308_641)) },
    { id: 'kept apart', rateBps: 999.96, level: 1.23456, paths: [path('acb', 999.96, 0), path('adb', 999.96, 0)] },
    { id: 'cut off', rateBps: 0, level: 0, paths: [], reason: 'no path of links joins the two sites' },
  ],
  links: [
    { id: 'a to b', rateBps: 2e6, loadBps: 1e6 },
    { id: 'off', rateBps: 0, loadBps: 0, timeShare: 0 },
    { id: 'turn', rateBps: 4e9, loadBps: 1e9, timeShare: 0.25 },
  ],
}

describe('describePlan', () => {
  it('draws what was reached, the demands and the links', () => {
    expect(describePlan(plan).split('\n')).to.deep.equal([
      'lambda    1.235 × weight × rate for every demand with a route',
      'gap       1.24 % to the certified bound of 1.25',
      'plan      epoch 3, by column generation',
      'served    2 of 3 demands, 1.236 Mb/s in all',
      'due       again in 1.5 s',
      '',
      'demand      rate        level  paths',
      'wide        1.235 Mb/s  2      a - b (308.6 kb/s); a - c - b (308.6 kb/s); a - d - b (308.6 kb/s); and 1 more',
      'kept apart  1000 b/s    1.235  a - c - b (1000 b/s, set 1); a - d - b (1000 b/s, set 1)',
      'cut off     0 b/s       -      none: no path of links joins the two sites',
      '',
      'link    load    of      used  time share',
      'a to b  1 Mb/s  2 Mb/s  50 %',
      'off     0 b/s   0 b/s   -     0 %',
      'turn    1 Gb/s  4 Gb/s  25 %  25 %',
    ])
  })
})
