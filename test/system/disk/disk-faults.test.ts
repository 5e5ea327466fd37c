import { expect } from 'chai'
import { runDiskFaults } from '../../helpers/disk/disk-fault-trial.ts'

const TRIES = 45

describe('a site whose disk fills up or fails', function () {
  this.timeout(180_000)

  it(`answers 503, loses nothing, and goes on without a restart, at one step of the disk after the other (${TRIES} tries)`, async () => {
    const report = await runDiskFaults({ tries: TRIES, built: process.env.QKD_TEST_BUILT === '1' })
    expect(report.faults).to.deep.equal([])
    expect(report.failed).to.be.above(TRIES / 3)
    expect(report.refused.ERR_QKD_STORE).to.be.above(10)
    expect(report.fetched).to.be.above(2 * TRIES)
    expect(report.burned).to.equal(0)
  })
})
