import { expect } from 'chai'
import { runRestoreTrace } from '../helpers/restore-trace.ts'

describe('two site processes whose stores are put back', function () {
  this.timeout(600_000)

  it('issue and deliver nothing twice, agree again by themselves, and say what is lost: each site, both, and a backup', async () => {
    const report = await runRestoreTrace({
      rounds: ['first site', 'second site', 'both sites', 'backup of the second'],
      after: async sites => {
        for (const [saeId, slave] of [
          ['alice', 'bob'],
          ['ben', 'amy'],
        ] as const)
          expect((await sites.kms(saeId).getStatus(slave)).outlook!.lostCells).to.be.above(0)
      },
    })
    expect(report).to.deep.include({ wrong: 0, twice: 0, refused: 0, faults: [] })
    expect(report.fetched).to.be.above(100)
    const outcomes = new Map(report.outcomes.map(outcome => [outcome.kind, outcome]))
    for (const kind of ['first site', 'second site'] as const)
      expect(outcomes.get(kind)).to.deep.include({ cures: ['pool-resync'], hasAlarm: true })
    expect(outcomes.get('both sites')).to.deep.include({ cures: ['pool-reset', 'pool-reset'], hasAlarm: true })
    expect(outcomes.get('backup of the second')).to.deep.include({ cures: ['pool-reset'], hasAlarm: true })
    for (const { kind, lostCells } of report.outcomes) expect(lostCells, kind).to.be.above(0)
  })
})
