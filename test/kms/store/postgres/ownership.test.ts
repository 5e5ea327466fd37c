import { copyFile, mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import { StoreError } from '../../../../lib/errors.ts'
import type { Ownership } from '../../../../lib/interface/owner-election.ts'
import { connectStore } from '../../../../lib/kms/store/postgres/connect-store.ts'
import { SCHEMA_LOCK } from '../../../../lib/kms/store/postgres/migrate.ts'
import type { OwnedStore } from '../../../../lib/kms/store/postgres/owned-store.ts'
import { PostgresElection } from '../../../../lib/kms/store/postgres/postgres-election.ts'
import { SiteWriter } from '../../../../lib/kms/store/postgres/site-writer.ts'
import { debugLogger } from '../../../../lib/util/debug-logger.ts'
import { deferred } from '../../../../lib/util/deferred.ts'
import { connectPostgres, type PostgresClient } from '../../../../lib/util/postgres-client.ts'
import { blockRecord } from '../../../compliance/pool-store.ts'
import { withoutPeer } from '../../../helpers/peer-program.ts'
import { PostgresNode, postgresPrograms } from '../../../helpers/postgres.ts'
import { openOwned, openReplica, ownEpoch } from '../../../helpers/postgres-pools.ts'
import { rejectsWith } from '../../../helpers/rejects-with.ts'
import { ReplicaProcesses } from '../../../helpers/replica-processes.ts'
import { historyFaults } from '../../../helpers/reservation-history.ts'
import { createTempDir } from '../../../helpers/temp-dir.ts'
import { until } from '../../../helpers/until.ts'

const POOL = 'site-a|site-b'
const insert = (number: bigint) => ({
  kind: 'insert' as const,
  record: blockRecord(number),
  sealed: Buffer.from('sealed'),
  raiseFloor: true,
})

/** The same connection, as an object whose calls can be replaced. */
const wrapped = (client: PostgresClient): PostgresClient => ({
  lost: client.lost,
  query: (text, values) => client.query(text, values),
  write: (text, values) => client.write(text, values),
  [Symbol.asyncDispose]: () => client[Symbol.asyncDispose](),
})

describe('replicas of a site over PostgreSQL', function () {
  this.timeout(120_000)
  let server: PostgresNode
  let dir: Awaited<ReturnType<typeof createTempDir>>
  let sql: PostgresClient
  let sites = 0

  /** A site of its own for each case, and the directory of its first host. */
  const site = () => {
    sites += 1
    return { siteId: `site-${sites}`, host: join(dir.path, `host-${sites}`) }
  }
  /** The directory of a further host, which was given the keys of the first. */
  const fellow = async (host: string) => {
    await mkdir(join(`${host}-b`, 'store'), { recursive: true })
    for (const file of ['kek', 'store/slots.bin']) await copyFile(join(host, file), join(`${host}-b`, file))
    return `${host}-b`
  }

  before(async function () {
    const programs = postgresPrograms() ?? withoutPeer(this, 'PostgreSQL is not installed (Debian package postgresql)')
    server = await PostgresNode.create(programs)
    await server.start()
    dir = await createTempDir()
    sql = await connectPostgres({ url: server.url, applicationName: 'test', timeoutMs: 10_000, neededBy: 'The test' })
  })
  after(async () => {
    await sql?.[Symbol.asyncDispose]()
    await server?.[Symbol.asyncDispose]()
    await dir?.[Symbol.asyncDispose]()
  })

  it('elect one; the other knows its address, and takes over at once when it ends', async () => {
    const { siteId, host } = site()
    const first = await openReplica(server.url, host, { siteId, address: 'db-1:7000' })
    expect(await ownEpoch(first)).to.equal(1)
    await using second = await openReplica(server.url, await fellow(host), {
      siteId,
      replicaId: 'replica-2',
    })
    await until(() => second.election.current().role === 'follower', 'the second one sees the owner')
    expect(second.election.current()).to.include({ ownerId: 'replica-1', address: 'db-1:7000', epoch: 1 })
    const told: Ownership[] = []
    second.election.subscribe(ownership => told.push(ownership))
    await first.close()
    expect(await ownEpoch(second)).to.equal(2)
    expect(told.map(({ role }) => role)).to.deep.equal(['owner'])
  })

  it('let a fellow go first where the owner cannot open what it owns, and have it again after a lease where there is none', async () => {
    const { siteId, host } = site()
    await using first = await openReplica(server.url, host, { siteId, leaseMs: 500 })
    first.stepAside(await ownEpoch(first))
    expect(first.election.current()).to.deep.equal({ role: 'none' })
    const begunMs = performance.now()
    expect(await ownEpoch(first)).to.equal(2)
    expect(performance.now() - begunMs).to.be.above(400)
    await using second = await openReplica(server.url, await fellow(host), { siteId, replicaId: 'replica-2' })
    await until(() => second.election.current().role === 'follower', 'the second one sees the owner')
    const told: Ownership[] = []
    first.election.subscribe(ownership => told.push(ownership))
    first.stepAside(2)
    expect(await ownEpoch(second)).to.equal(3)
    await until(() => first.election.current().role === 'follower', 'the first one follows')
    expect(told.map(({ role }) => role)).to.deep.equal(['none', 'follower'])
  })

  it('wait at their start for a fellow that changes the schema, longer than a short lease', async () => {
    const { siteId, host } = site()
    await sql.query(`select pg_advisory_lock(${SCHEMA_LOCK})`)
    const opening = openReplica(server.url, host, { siteId, leaseMs: 500 })
    opening.catch(() => {})
    await until(async () => {
      const rows = await sql.query(
        `select 1 from pg_stat_activity
         where application_name = $1 and wait_event_type = 'Lock' and clock_timestamp() - query_start > '600 ms'`,
        [`qkd ${siteId} start`],
      )
      return rows.length === 1
    }, 'it has waited').finally(() => sql.query(`select pg_advisory_unlock(${SCHEMA_LOCK})`))
    await (await opening).close()
  })

  it('fence an owner that another one has followed: it writes nothing more, and says so', async () => {
    const { siteId, host } = site()
    await using replica = await openReplica(server.url, host, { siteId, leaseMs: 60_000 })
    await using owned = await openOwned(replica)
    await owned.store.commit(POOL, [insert(1n)])
    await sql.query('update qkd_site set epoch = epoch + 1, owner_id = $2, owner_process = $2 where site_id = $1', [
      siteId,
      'another one',
    ])
    await rejectsWith(owned.store.commit(POOL, [insert(2n)]), 'ERR_QKD_STORE')
    await rejectsWith(owned.store.commit(POOL, [insert(3n)]), 'ERR_QKD_STORE')
    await until(() => replica.election.current().role === 'follower', 'the replica follows')
    const rows = await sql.query(`select name from qkd_row where site_id = $1 and kind = 'block'`, [siteId])
    expect(rows).to.have.length(1)
  })

  it('write each batch once, however often the connection is lost under it', async () => {
    const { siteId, host } = site()
    await using replica = await openReplica(server.url, host, { siteId, leaseMs: 10_000 })
    await using owned = await openOwned(replica)
    let cut = 0
    let done = false
    const cutting = (async () => {
      while (!done) {
        const rows = await sql.query(
          `select pg_terminate_backend(pid) from pg_stat_activity where application_name = $1`,
          [`qkd ${siteId} store`],
        )
        cut += rows.length
        await new Promise(resolve => setTimeout(resolve, 60))
      }
    })()
    const numbers: bigint[] = []
    // A slow machine cuts more seldom.
    while (numbers.length < 60 || cut <= 3) {
      const number = BigInt(numbers.push(BigInt(numbers.length + 1)))
      // One that was written twice would be refused the second time.
      expect(await owned.store.commit(POOL, [insert(number)])).to.include({ ok: true })
    }
    done = true
    await cutting
    const { pool, blocks } = await owned.store.snapshot(POOL)
    expect(pool.commits).to.equal(numbers.length)
    expect(blocks.map(({ number }) => number)).to.deep.equal(numbers)
  })

  it('begin a new epoch where a renewal is answered after the lease: what was open before is fenced', async () => {
    const { siteId, host } = site()
    await using replica = await openReplica(server.url, host, { siteId, leaseMs: 60_000 })
    await ownEpoch(replica)
    await replica.close()
    let gate: Promise<void> | undefined
    const go = deferred<void>()
    const late = deferred<void>()
    const connect = async () => {
      const { client, server: identity } = await connectStore({ url: server.url, timeoutMs: 30_000 }, 'test')
      const write: PostgresClient['write'] = async (text, values) => {
        const rows = await client.write(text, values)
        if (gate !== undefined && text.includes('renewals + 1') && text.includes('epoch = $2 returning')) {
          late.resolve()
          await gate
        }
        return rows
      }
      return { client: { ...wrapped(client), write }, server: identity }
    }
    await using election = new PostgresElection({
      siteId,
      replicaId: 'late',
      address: '',
      leaseMs: 1_000,
      connect,
      onKeyEpoch: async () => {},
      logger: debugLogger('kms'),
    })
    const epochs: (number | undefined)[] = []
    election.subscribe(now => epochs.push(now.role === 'owner' ? now.epoch : undefined))
    await until(() => election.current().role === 'owner', 'it owns the site')
    gate = go.promise
    await late.promise
    await until(() => election.current().role === 'none', 'its lease is over')
    gate = undefined
    go.resolve()
    await until(() => election.current().role === 'owner', 'it owns the site again')
    expect(epochs).to.deep.equal([2, undefined, 3])
  })

  it('give the site up where nobody knows whether a batch was written: its answer was lost, and the next try refused', async () => {
    const { siteId } = site()
    await sql.query('insert into qkd_site (site_id, epoch) values ($1, 1)', [siteId])
    let tries = 0
    const connect = async () => {
      const { client, server: identity } = await connectStore({ url: server.url, timeoutMs: 30_000 }, 'test')
      const write: PostgresClient['write'] = async (text, values) => {
        tries += 1
        if (tries === 2) return await client.write('select 1/0')
        const rows = await client.write(text, values)
        if (tries === 1) throw new StoreError('The answer was lost')
        return rows
      }
      return { client: { ...wrapped(client), write }, server: identity }
    }
    let isFenced = false
    const onFenced = () => {
      isFenced = true
    }
    const writer = new SiteWriter({ siteId, epoch: 1, batch: 0, connect, mayWrite: () => true, onFenced })
    const put = (name: string) =>
      writer.run({
        needs: [],
        prepare: batch => batch.row(POOL, 'note', Buffer.from(name), () => Buffer.from('value')),
      })
    await rejectsWith(put('first'), 'ERR_QKD_STORE')
    expect(isFenced).to.equal(true)
    // Under the same number it would be taken for the first one, and answered for.
    await rejectsWith(put('second'), 'ERR_QKD_STORE')
    await writer.close()
    expect(tries).to.equal(2)
    const rows = await sql.query('select name from qkd_row where site_id = $1', [siteId])
    expect(rows.map(({ name }) => String(name))).to.deep.equal(['first'])
  })

  it('lose nothing where the database refuses to write, and go on when it writes again', async () => {
    const { siteId, host } = site()
    await using replica = await openReplica(server.url, host, { siteId, leaseMs: 60_000 })
    await using owned = await openOwned(replica)
    await owned.store.commit(POOL, [insert(1n)])
    await sql.query(`create function full_disk() returns trigger language plpgsql as
      $$ begin raise exception 'could not extend file: No space left on device' using errcode = '53100'; end $$;
      create trigger full_disk before insert or update on qkd_row execute function full_disk()`)
    try {
      const error = await rejectsWith(owned.store.commit(POOL, [insert(2n)]), 'ERR_QKD_STORE')
      expect(error.message).to.contain('No space left on device')
    } finally {
      await sql.query('drop trigger full_disk on qkd_row; drop function full_disk')
    }
    const { pool, blocks } = await owned.store.snapshot(POOL)
    expect(pool.commits).to.equal(1)
    expect(blocks).to.have.length(1)
    expect(await owned.store.commit(POOL, [insert(2n)])).to.include({ ok: true })
  })

  for (const [what, change] of [
    ['another cluster', `system_identifier = '1'`],
    ['another timeline', 'timeline = timeline + 1'],
    ['a database that is older than the keys of the host', 'key_epoch = key_epoch - 1'],
  ] as const) {
    it(`take pools for rolled back where they find ${what}, and only then`, async () => {
      const { siteId, host } = site()
      const standing = async (run: (owned: OwnedStore) => Promise<unknown> = async () => {}) => {
        await using replica = await openReplica(server.url, host, { siteId })
        await using owned = await openOwned(replica)
        const before = (await owned.store.snapshot(POOL)).pool
        await run(owned)
        return before.rolledBack
      }
      await standing(async ({ store, slots }) => {
        await store.commit(POOL, [insert(1n)])
        await slots.destroyErased()
      })
      expect(await standing()).to.equal(false)
      await sql.query(`update qkd_site set ${change} where site_id = $1`, [siteId])
      expect(await standing()).to.equal(true)
    })
  }

  it('give each index once, in an order that agrees with real time, while owners are stopped, resumed and killed', async () => {
    const { host } = site()
    await using replicas = new ReplicaProcesses(server.url, host)
    await replicas.start('one')
    await replicas.progress(50)
    await replicas.start('two')
    for (const end of ['SIGSTOP', 'SIGKILL'] as const) {
      const owner = replicas.owner!
      await replicas.progress(100)
      replicas.signal(owner, end)
      await replicas.takeover(owner)
      await replicas.progress(100)
      if (end === 'SIGKILL') break
      // What it had asked for before it was stopped is answered now, and all that comes of it is stale.
      replicas.signal(owner, 'SIGCONT')
      await replicas.progress(100)
    }
    expect(replicas.owners.map(({ epoch }) => epoch)).to.have.length.above(2)
    expect(replicas.history.length).to.be.above(400)
    expect(historyFaults(replicas.history)).to.deep.equal([])
  })
})
