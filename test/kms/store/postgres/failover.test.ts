import { copyFile, mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import { lp } from '../../../../lib/key/lp.ts'
import { SecretKey } from '../../../../lib/key/secret-key.ts'
import { connectStore } from '../../../../lib/kms/store/postgres/connect-store.ts'
import { HostKey } from '../../../../lib/kms/store/postgres/host-key.ts'
import { StandbyWatch, standbyInStep } from '../../../../lib/kms/store/postgres/standby-watch.ts'
import { connectPostgres } from '../../../../lib/util/postgres-client.ts'
import { blockRecord } from '../../../compliance/pool-store.ts'
import { withoutPeer } from '../../../helpers/peer-program.ts'
import { postgresPrograms } from '../../../helpers/postgres.ts'
import { PostgresCluster } from '../../../helpers/postgres-cluster.ts'
import { openOwned, openReplica } from '../../../helpers/postgres-pools.ts'
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

describe('a cluster of PostgreSQL', function () {
  this.timeout(180_000)
  let programs: string
  let cluster: PostgresCluster
  let dir: Awaited<ReturnType<typeof createTempDir>>

  before(async function () {
    programs = postgresPrograms() ?? withoutPeer(this, 'PostgreSQL is not installed (Debian package postgresql)')
    dir = await createTempDir()
    cluster = await PostgresCluster.start(programs)
  })
  after(async () => {
    await cluster?.[Symbol.asyncDispose]()
    await dir?.[Symbol.asyncDispose]()
  })

  it('is refused where its standby is asynchronous', async () => {
    await cluster.primary.configure({ synchronous_standby_names: '' })
    await cluster.primary.reload()
    const sql = await connectPostgres({
      url: cluster.primary.url,
      applicationName: 'test',
      timeoutMs: 10_000,
      neededBy: 'The test',
    })
    const names = async () => (await sql.query('show synchronous_standby_names'))[0]!.synchronous_standby_names
    await until(async () => (await names()) === '', 'the standby is asynchronous')
    const error = await rejectsWith(openReplica(cluster.url, join(dir.path, 'async')), 'ERR_QKD_STORE')
    expect(error.message).to.contain('synchronous_standby_names')
    await cluster.primary.configure({ synchronous_standby_names: 'ANY 1 (*)' })
    await cluster.primary.reload()
    await until(async () => (await names()) !== '', 'the standby is synchronous again')
    await sql[Symbol.asyncDispose]()
  })

  it('has it told whether a standby is in step, also while commits wait for one, to a role that may see it', async () => {
    const seen: boolean[] = []
    const onSynchronous = (is: boolean) => void seen.push(is)
    await using replica = await openReplica(cluster.url, join(dir.path, 'watch'), { siteId: 'watch', onSynchronous })
    await until(() => seen.length > 0, 'the replica has looked')
    expect(seen).to.deep.equal([true])
    await replica.close()
    await using sql = await connectPostgres({
      url: cluster.primary.url,
      applicationName: 'test',
      timeoutMs: 10_000,
      neededBy: 'The test',
    })
    await sql.query('create role plain login')
    const plain = cluster.primary.url.replace('//qkd@', '//plain@')
    const connect = () => connectStore({ url: plain, timeoutMs: 10_000 }, 'test')
    const { client } = await connect()
    expect(await standbyInStep(client)).to.equal(undefined)
    await client[Symbol.asyncDispose]()
    await sql.query('grant pg_read_all_stats to plain')
    await using _ = new StandbyWatch({ connect, onSynchronous, lookMs: 50 })
    await until(() => seen.length > 1, 'it is seen by the other role')
    await cluster.standby.stop()
    await until(() => seen.at(-1) === false, 'the standby is seen to be away')
    await cluster.standby.start()
    await until(() => seen.at(-1) === true, 'the standby is seen to be back')
  })

  it('has it told whether as many standbys are in step as commits wait for', async () => {
    await using sql = await connectPostgres({
      url: cluster.primary.url,
      applicationName: 'test',
      timeoutMs: 10_000,
      neededBy: 'The test',
    })
    for (const [names, isSynchronous] of [
      ['ANY 2 (*)', false],
      ['FIRST 2 (one, *)', false],
      ['2 (one, *)', false],
      ['first 1 (*)', true],
      ['1(*)', true],
      ['one, *', true],
      ['ANY 1 (*)', true],
    ] as const) {
      await cluster.primary.configure({ synchronous_standby_names: names })
      await cluster.primary.reload()
      const shown = async () => (await sql.query('show synchronous_standby_names'))[0]!.synchronous_standby_names
      await until(async () => (await shown()) === names, `the server has ${names}`)
      await until(async () => (await standbyInStep(sql)) === isSynchronous, `${names} gives ${isSynchronous}`)
    }
  })

  it('answers for nothing where somebody ends the wait for its standby', async () => {
    await using replica = await openReplica(cluster.url, join(dir.path, 'cancel'), {
      siteId: 'cancel',
      leaseMs: 10_000,
    })
    await using owned = await openOwned(replica)
    await owned.store.commit(POOL, [insert(1n)])
    await using sql = await connectPostgres({
      url: cluster.primary.url,
      applicationName: 'test',
      timeoutMs: 10_000,
      neededBy: 'The test',
    })
    await cluster.standby.stop()
    let isAnswered = false
    const commit = owned.store.commit(POOL, [insert(2n)]).finally(() => {
      isAnswered = true
    })
    commit.catch(() => {})
    // Each cancelled wait has the server answer "committed", with a warning that the standby may not have it.
    let cancelled = 0
    await until(async () => {
      const rows = await sql.query(
        `select pg_cancel_backend(pid) from pg_stat_activity where application_name = 'qkd cancel store' and wait_event = 'SyncRep'`,
      )
      cancelled += rows.length
      return cancelled >= 2
    }, 'two waits are cancelled')
    expect(isAnswered).to.equal(false)
    await cluster.standby.start()
    expect(await commit).to.include({ ok: true })
    expect((await owned.store.snapshot(POOL)).pool.commits).to.equal(2)
  })

  it('gives each index once, in order, though its primary is killed under load; the pools then count as rolled back', async () => {
    const host = join(dir.path, 'load')
    await using replicas = new ReplicaProcesses(cluster.url, host)
    await replicas.start('one')
    await replicas.progress(200)
    await cluster.failOver()
    await cluster.rebuild()
    await replicas.progress(200)
    expect(historyFaults(replicas.history)).to.deep.equal([])
    expect(new Set(replicas.owners.map(({ epoch }) => epoch)).size).to.be.above(1)
    await using sql = await connectPostgres({
      url: cluster.primary.url,
      applicationName: 'test',
      timeoutMs: 10_000,
      neededBy: 'The test',
    })
    const [site] = await sql.query(`select timeline from qkd_site where site_id = 'site-a'`)
    expect(Number(site!.timeline)).to.equal(2)
    await replicas[Symbol.asyncDispose]()
    await using replica = await openReplica(cluster.url, join(host, 'one'))
    await using owned = await openOwned(replica)
    expect((await owned.store.snapshot(POOL)).pool.rolledBack).to.equal(true)
  })

  it('opens all that it answered for, though a host saw a step of its keys that the standby never had', async () => {
    const [siteId, leaseMs, host] = ['step', 2_000, join(dir.path, 'step')]
    const fellow = `${host}-b`
    await using first = await openReplica(cluster.url, host, { siteId, leaseMs })
    await using owned = await openOwned(first)
    await mkdir(join(fellow, 'store'), { recursive: true })
    for (const file of ['kek', 'store/slots.bin']) await copyFile(join(host, file), join(fellow, file))
    await using second = await openReplica(cluster.url, fellow, { siteId, leaseMs, replicaId: 'replica-2' })
    const [secret, context] = [SecretKey.random(32), lp('a block')]
    const slot = await owned.slots.put(secret, context)
    await owned.slots.erase(await owned.slots.put(secret, context))
    const keyEpoch = async () => (await HostKey.find(second.slots))!.epoch
    {
      await using sql = await connectPostgres({
        url: cluster.primary.url,
        applicationName: 'test',
        timeoutMs: 10_000,
        neededBy: 'The test',
      })
      await cluster.standby.stop()
      const destroyed = owned.slots.destroyErased()
      destroyed.catch(() => {})
      // What waits and is cancelled is seen by all, and this server alone has it; a renewal may stand before the step.
      await until(async () => {
        await sql.query(
          `select pg_cancel_backend(pid) from pg_stat_activity where application_name like 'qkd step %' and wait_event = 'SyncRep'`,
        )
        return (await sql.query(`select 1 from qkd_site where site_id = 'step' and key_epoch = 1`)).length > 0
      }, 'the step is seen')
      await until(async () => {
        const waiting = await sql.query(
          `select 1 from pg_stat_activity where application_name = 'qkd step election' and query like '%key_epoch = key_epoch%'
             and (wait_event = 'SyncRep' or wait_event_type = 'Lock')`,
        )
        return waiting.length > 0 || (await keyEpoch()) > 0
      }, 'the other host has looked')
    }
    expect(await keyEpoch()).to.equal(0)
    await cluster.primary.kill()
    await owned.close()
    await first.close()
    await cluster.standby.start()
    await cluster.standby.promote()
    ;[cluster.primary, cluster.standby] = [cluster.standby, cluster.primary]
    await cluster.primary.configure({ synchronous_standby_names: '' })
    await cluster.primary.reload()
    await using taken = await openOwned(second)
    const read = await taken.slots.read(slot, context)
    expect(read.equals(secret)).to.equal(true)
  })
})
