import { expect } from 'chai'
import { runSuite } from '../../compliance/suite.ts'
import { rows } from './all-rows.ts'
import { type Checklist, openChecklist } from './checklist.ts'
import { casesOf } from './rows.ts'
import { waysIn } from './ways-in.ts'

/*
 * The conformance checklist for ETSI GS QKD 014 V1.1.1, row by row, over every transport. docs/etsi014-server.md has what each
 * row asks for.
 */
const cases = casesOf(rows)

for (const way of waysIn) {
  runSuite<Checklist>(
    'ETSI 014 checklist',
    {
      backend: way.name,
      setup: () => openChecklist(way),
      teardown: async checklist => checklist[Symbol.asyncDispose](),
    },
    cases,
  )
}

describe('ETSI 014 checklist', () => {
  it('has each of its rows from 1 to 52', () => {
    const numbers = cases.map(([name]) => Number(/^row (\d+) /.exec(name)?.[1]))
    expect(numbers).to.deep.equal(Array.from({ length: 52 }, (_, n) => n + 1))
  })
})
