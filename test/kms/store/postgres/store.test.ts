import { expect } from 'chai'
import { poolStoreCompliance } from '../../../compliance/pool-store.ts'
import { withoutPeer } from '../../../helpers/peer-program.ts'
import { tryPoolStore } from '../../../helpers/pool-store-trial.ts'
import { PostgresNode, postgresPrograms } from '../../../helpers/postgres.ts'
import { PostgresPools } from '../../../helpers/postgres-pools.ts'
import { createTempDir } from '../../../helpers/temp-dir.ts'

describe('PostgresPoolStore', function () {
  this.timeout(120_000)
  let server: PostgresNode
  let dir: Awaited<ReturnType<typeof createTempDir>>

  before(async function () {
    const programs = postgresPrograms() ?? withoutPeer(this, 'PostgreSQL is not installed (Debian package postgresql)')
    server = await PostgresNode.create(programs)
    await server.start()
    dir = await createTempDir()
  })
  after(async () => {
    await server?.[Symbol.asyncDispose]()
    await dir?.[Symbol.asyncDispose]()
  })

  poolStoreCompliance({
    backend: 'postgresql',
    setup: () => new PostgresPools(server.url, dir.path).start(),
    teardown: tried => (tried as PostgresPools)[Symbol.asyncDispose](),
  })

  it('answers and keeps what a model on paper does, on a disk that fails before and behind commits', async () => {
    await using tried = await new PostgresPools(server.url, dir.path).start()
    const counts = await tryPoolStore(tried, { runs: 8 })
    expect(counts.written).to.be.above(20)
    expect(counts.refused).to.be.above(20)
    expect(counts.failed).to.be.above(10)
  })
})
