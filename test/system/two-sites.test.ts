import { expect } from 'chai'
import { runTrace } from '../helpers/key-trace.ts'
import { runKillTrace } from '../helpers/kill-trace.ts'
import { startSiteProcesses } from '../helpers/site-process.ts'

/** What no run may show. */
const clean = { wrong: 0, twice: 0, refused: 0, faults: [] }

describe('two site processes', function () {
  this.timeout(120_000)

  it('stay in step under 10,000 keys in both directions with a tenth of the handshakes lost', async () => {
    await using sites = await startSiteProcesses()
    const lanes = [
      { master: sites.kms('alice'), slave: sites.kms('bob') },
      { master: sites.kms('ben'), slave: sites.kms('amy') },
    ]
    const report = await runTrace({ lanes, keys: 10_000, lossRatio: 0.1 })
    expect(report).to.deep.include(clean)
    expect(report.fetched).to.equal(report.drawn - report.dropped)
    expect(report.drawn).to.be.at.least(10_000)
    expect(await sites.processes[0].stop()).to.equal(0)
    expect(await sites.processes[1].stop()).to.equal(0)
  })

  it('give no wrong key and none twice when they are killed while their key encryption keys change', async () => {
    const report = await runKillTrace({ kills: 4, rekey: true })
    expect(report).to.deep.include(clean)
    expect(report.fetched).to.be.above(50)
  })

  it('give no wrong key and none twice when they are killed at random moments', async () => {
    const report = await runKillTrace({ kills: 6 })
    expect(report).to.deep.include(clean)
    expect(report.fetched).to.be.above(100)
  })
})
