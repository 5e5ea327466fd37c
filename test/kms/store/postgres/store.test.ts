import { expect } from 'chai'
import type { OwnedStore } from '../../../../lib/kms/store/postgres/owned-store.ts'
import type { PostgresReplica } from '../../../../lib/kms/store/postgres/postgres-replica.ts'
import { poolStoreCompliance } from '../../../compliance/pool-store.ts'
import { withoutPeer } from '../../../helpers/peer-program.ts'
import { tryPoolStore } from '../../../helpers/pool-store-trial.ts'
import { PostgresNode, postgresPrograms } from '../../../helpers/postgres.ts'
import { openOwned, openReplica } from '../../../helpers/postgres-pools.ts'
import { createTempDir } from '../../../helpers/temp-dir.ts'

/** A replica that owns its site, and its store, opened again as often as a test wants. */
class Tried implements AsyncDisposable {
  store!: OwnedStore['store']
  #owned!: OwnedStore
  #replica!: PostgresReplica
  readonly #open: () => Promise<PostgresReplica>

  constructor(open: () => Promise<PostgresReplica>) {
    this.#open = open
  }

  async start(): Promise<this> {
    this.#replica = await this.#open()
    this.#owned = await openOwned(this.#replica)
    this.store = this.#owned.store
    return this
  }

  /** Another owner's, under the next epoch, over the same rows. */
  reopen = async () => {
    await this[Symbol.asyncDispose]()
    return (await this.start()).store
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#owned.close()
    await this.#replica.close()
  }
}

describe('PostgresPoolStore', function () {
  this.timeout(120_000)
  let server: PostgresNode
  let dir: Awaited<ReturnType<typeof createTempDir>>
  const open = () => openReplica(server.url, dir.path)

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
    setup: () => new Tried(open).start(),
    teardown: tried => (tried as Tried)[Symbol.asyncDispose](),
  })

  it('answers and keeps what a model on paper does, on a disk that fails before and behind commits', async () => {
    await using tried = await new Tried(open).start()
    const counts = await tryPoolStore(tried, { runs: 8 })
    expect(counts.written).to.be.above(20)
    expect(counts.refused).to.be.above(20)
    expect(counts.failed).to.be.above(10)
  })
})
