import { join } from 'node:path'
import { expect } from 'chai'
import { connectStore } from '../../../../lib/kms/store/postgres/connect-store.ts'
import { migrate } from '../../../../lib/kms/store/postgres/migrate.ts'
import { MIGRATIONS } from '../../../../lib/kms/store/postgres/migrations.ts'
import { openPostgresToRead } from '../../../../lib/kms/store/postgres/read-postgres.ts'
import { standbyInStep } from '../../../../lib/kms/store/postgres/standby-watch.ts'
import { connectPostgres, type PostgresClient } from '../../../../lib/util/postgres-client.ts'
import { withoutPeer } from '../../../helpers/peer-program.ts'
import { PostgresNode, postgresPrograms } from '../../../helpers/postgres.ts'
import { rejectsWith } from '../../../helpers/rejects-with.ts'
import { createTempDir } from '../../../helpers/temp-dir.ts'
import { until } from '../../../helpers/until.ts'

describe('the start over PostgreSQL', function () {
  this.timeout(120_000)
  let server: PostgresNode
  let sql: PostgresClient
  const connect = () => connectStore({ url: server.url, timeoutMs: 10_000 }, 'test')

  before(async function () {
    const programs = postgresPrograms() ?? withoutPeer(this, 'PostgreSQL is not installed (Debian package postgresql)')
    server = await PostgresNode.create(programs)
    await server.start()
    sql = await connectPostgres({ url: server.url, applicationName: 'test', timeoutMs: 10_000, neededBy: 'The test' })
  })
  after(async () => {
    await sql?.[Symbol.asyncDispose]()
    await server?.[Symbol.asyncDispose]()
  })

  it('takes a server that keeps what it answers for, and tells which it is', async () => {
    const { client, server: identity } = await connect()
    await client[Symbol.asyncDispose]()
    expect(identity.timeline).to.equal(1)
    expect(await standbyInStep(sql), 'a database without a standby is a choice').to.equal(undefined)
    expect(identity.systemIdentifier).to.match(/^\d{10,}$/)
  })

  for (const [name, value] of [
    ['fsync', 'off'],
    ['full_page_writes', 'off'],
    ['synchronous_commit', 'off'],
    ['synchronous_commit', 'local'],
    ['synchronous_commit', 'remote_write'],
  ] as const) {
    it(`refuses ${name} = ${value}, and names it`, async () => {
      const shown = async () => (await sql.query(`show ${name}`))[0]![name]
      await server.configure({ [name]: value })
      await server.reload()
      await until(async () => (await shown()) === value, `the server has ${name} = ${value}`)
      try {
        const error = await rejectsWith(connect(), 'ERR_QKD_STORE')
        expect(error.message).to.contain(`${name} = ${value}`)
        expect(error.message).to.contain(`set ${name} = on`)
      } finally {
        await server.configure({ [name]: 'on' })
        await server.reload()
        await until(async () => (await shown()) === 'on', `the server has ${name} = on again`)
      }
    })
  }

  it('refuses a setting that only the role of the site has', async () => {
    await sql.query('alter role qkd set synchronous_commit = off')
    try {
      expect((await rejectsWith(connect(), 'ERR_QKD_STORE')).message).to.contain('synchronous_commit = off')
    } finally {
      await sql.query('alter role qkd reset synchronous_commit')
    }
  })

  it('refuses standbys that nothing waits for', async () => {
    await sql.query(`select pg_create_physical_replication_slot('standby', true)`)
    try {
      const error = await rejectsWith(connect(), 'ERR_QKD_STORE')
      expect(error.message).to.contain('synchronous_standby_names is empty')
    } finally {
      await sql.query(`select pg_drop_replication_slot('standby')`)
    }
  })

  it('brings an older schema up to date, once, and refuses a newer one', async () => {
    const steps = [...MIGRATIONS, 'create table qkd_added (id integer)']
    await migrate(sql, MIGRATIONS)
    await migrate(sql, MIGRATIONS)
    // Two replicas that start at once.
    await using other = await connectPostgres({
      url: server.url,
      applicationName: 'test',
      timeoutMs: 10_000,
      neededBy: 'The test',
    })
    await Promise.all([migrate(sql, steps), migrate(other, steps)])
    expect(await sql.query('select version from qkd_schema order by version')).to.deep.equal(
      steps.map((_, at) => ({ version: at + 1 })),
    )
    const error = await rejectsWith(migrate(sql, MIGRATIONS), 'ERR_QKD_STORE')
    expect(error.message).to.contain(`schema ${steps.length}`).and.to.contain(`up to ${MIGRATIONS.length}`)
    await using dir = await createTempDir()
    const place = { siteId: 'site-a', url: server.url, path: dir.path, kek: { file: join(dir.path, 'kek') } }
    const look = await rejectsWith(openPostgresToRead(place), 'ERR_QKD_STORE')
    expect(look.message).to.equal(error.message)
  })

  it('writes nothing of a step that fails', async () => {
    const steps = [
      ...MIGRATIONS,
      'create table qkd_added (id integer)',
      'create table qkd_half (id integer); select 1/0',
    ]
    await rejectsWith(migrate(sql, steps), 'ERR_QKD_STORE')
    expect(await sql.query(`select to_regclass('qkd_half') as half`)).to.deep.equal([{ half: null }])
  })
})
