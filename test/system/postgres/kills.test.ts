import { expect } from 'chai'
import { runKillTrace } from '../../helpers/kill-trace.ts'
import { withoutPeer } from '../../helpers/peer-program.ts'
import { PostgresNode, postgresPrograms } from '../../helpers/postgres.ts'

describe('two site processes over PostgreSQL', function () {
  this.timeout(180_000)

  it('give no wrong key and none twice when they are killed at random moments', async function () {
    const programs = postgresPrograms() ?? withoutPeer(this, 'PostgreSQL is not installed (Debian package postgresql)')
    await using server = await PostgresNode.create(programs)
    await server.start()
    const report = await runKillTrace({
      kills: 2,
      sites: { databases: { 'site-a': server.url, 'site-b': server.url } },
    })
    expect(report).to.deep.include({ wrong: 0, twice: 0, refused: 0, faults: [] })
    expect(report.fetched).to.be.above(30)
  })
})
