import { expect } from 'chai'
import { runKillTrace } from '../helpers/kill-trace.ts'
import { runLossTrace } from '../helpers/loss-trace.ts'
import { expectStatusCounts } from '../helpers/recount.ts'
import { runRekeyTrace } from '../helpers/rekey-trace.ts'

/** What no run may show. */
const clean = { wrong: 0, twice: 0, refused: 0, faults: [] }

describe('two site processes', function () {
  this.timeout(300_000)

  it('stay in step under 8,000 keys in both directions with 0 to 50 % of the handshakes lost, doubled and reordered', async () => {
    const reports = await runLossTrace({
      keys: 1600,
      after: async ({ directory, processes }) => {
        for (const { siteId } of processes) await expectStatusCounts(directory, siteId)
        for (const site of processes) expect(await site.stop()).to.equal(0)
      },
    })
    for (const report of reports) {
      expect(report).to.deep.include(clean)
      expect(report.fetched).to.equal(report.drawn - report.dropped)
      expect(report.drawn).to.be.at.least(1600)
    }
    expect(reports.map(({ ratio }) => ratio)).to.deep.equal([0, 0.01, 0.05, 0.1, 0.5])
    expect(reports.at(-1)!.duplicated).to.be.above(200)
  })

  it('give no wrong key and none twice when they are killed while their key encryption keys change', async () => {
    const report = await runRekeyTrace({ kills: 4 })
    expect(report).to.deep.include(clean)
    expect(report.fetched).to.be.above(50)
    // Nor does one of the keys before open anything.
    expect(report.oldKeys).to.be.above(1)
    expect(report.opened.current).to.be.above(4)
    expect(report.opened.old).to.equal(0)
  })

  it('give no wrong key and none twice when they are killed at random moments', async () => {
    const report = await runKillTrace({ kills: 6 })
    expect(report).to.deep.include(clean)
    expect(report.fetched).to.be.above(100)
  })
})
