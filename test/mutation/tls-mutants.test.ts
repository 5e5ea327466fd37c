import { expect } from 'chai'
import { tlsMutants } from './mutants.ts'
import { patched, runMutants } from './run-mutants.ts'

/** Three that differ; `npm run soak -- tls-mutants` has them all. */
const SAMPLE = ['the proof that a client has its key', 'roles in the key', 'the refusal of tickets']

describe('the tests of the TLS integration', function () {
  // Four runs of mocha, two at a time.
  this.timeout(120_000)

  it('notice when a defence is missing', async () => {
    const sample = tlsMutants.filter(({ without }) => SAMPLE.includes(without))
    expect(sample).to.have.length(SAMPLE.length)
    const outcomes = await runMutants(sample)
    expect(outcomes.filter(({ killed }) => !killed).map(({ mutant }) => mutant.without)).to.be.empty
    expect(outcomes).to.have.length(SAMPLE.length)
  })

  it('have a patch for each defence that fits the source', async () => {
    for (const mutant of tlsMutants) await patched(mutant)
    expect(new Set(tlsMutants.map(({ without }) => without)).size).to.equal(tlsMutants.length)
  })
})
