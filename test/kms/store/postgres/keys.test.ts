import { copyFile, mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import { StoreError } from '../../../../lib/errors.ts'
import { lp } from '../../../../lib/key/lp.ts'
import { SecretKey } from '../../../../lib/key/secret-key.ts'
import { KekRing } from '../../../../lib/kms/store/kek-ring.ts'
import { openHostDirectory } from '../../../../lib/kms/store/postgres/host-directory.ts'
import { HostKey } from '../../../../lib/kms/store/postgres/host-key.ts'
import { openPostgresToRead } from '../../../../lib/kms/store/postgres/read-postgres.ts'
import { decodeSlot } from '../../../../lib/kms/store/slot-codec.ts'
import { connectPostgres, type PostgresClient } from '../../../../lib/util/postgres-client.ts'
import { withoutPeer } from '../../../helpers/peer-program.ts'
import { PostgresNode, postgresPrograms } from '../../../helpers/postgres.ts'
import { openOwned, openReplica, ownEpoch } from '../../../helpers/postgres-pools.ts'
import { rejectsWith } from '../../../helpers/rejects-with.ts'
import { createTempDir } from '../../../helpers/temp-dir.ts'
import { until } from '../../../helpers/until.ts'

const CONTEXT = lp('a block')

/** All that the database ever held of the slots: what lingers in dead rows, the log, standbys and backups. */
async function everySlot(sql: PostgresClient, siteId: string): Promise<Buffer[]> {
  const rows = await sql.query('select value from slot_history where site_id = $1', [siteId])
  return rows.map(({ value }) => value as Buffer)
}

/** How many of these an attacker opens with what a host has: its key encryption key and its slot file. */
async function opened(slots: readonly Buffer[], host: string): Promise<number> {
  await using directory = await openHostDirectory({ path: join(host, 'store'), kek: { file: join(host, 'kek') } })
  const key = (await HostKey.find(directory.slots))!
  const ring = new KekRing(key.current.copy())
  const open = (slot: Buffer) => {
    try {
      decodeSlot(ring, slot, CONTEXT).wipe()
      return true
    } catch {
      return false
    }
  }
  return slots.filter(open).length
}

describe('keys of a store in PostgreSQL', function () {
  this.timeout(120_000)
  let server: PostgresNode
  let dir: Awaited<ReturnType<typeof createTempDir>>
  let sql: PostgresClient

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

  it('that were destroyed open by no copy of the database, with all that the host has', async () => {
    const host = join(dir.path, 'shred')
    const secret = SecretKey.random(32)
    const replica = await openReplica(server.url, host, { siteId: 'shred' })
    const { slots, close } = await openOwned(replica)
    await sql.query(`create table slot_history as select * from qkd_slot;
      create function keep_slot() returns trigger language plpgsql as
        $$ begin insert into slot_history values (new.*); return new; end $$;
      create trigger keep_slot after insert or update on qkd_slot for each row execute function keep_slot()`)
    const [live, dead] = [await slots.put(secret, CONTEXT), await slots.put(secret, CONTEXT)]
    await slots.erase(live, Buffer.from('what lay there before'))
    await slots.erase(dead, CONTEXT)
    const before = await everySlot(sql, 'shred')
    await close()
    await replica.close()
    // What only deletes rows leaves them all readable.
    expect(before).to.have.length(2)
    expect(await opened(before, host)).to.equal(2)

    await using again = await openReplica(server.url, host, { siteId: 'shred' })
    await using owned = await openOwned(again)
    await owned.slots.destroyErased()
    ;(await owned.slots.read(live, CONTEXT)).wipe()
    await rejectsWith(owned.slots.read(dead, CONTEXT), 'ERR_QKD_STORE')
    await owned.close()
    await again.close()
    const all = await everySlot(sql, 'shred')
    expect(all).to.have.length(3)
    // The live one, as it was wrapped last, and nothing else.
    expect(await opened(all, host)).to.equal(1)
    expect(await opened(before, host)).to.equal(0)
  })

  it('go with the slot file to a second host, which then follows each step by itself', async () => {
    const host = join(dir.path, 'first')
    const secret = SecretKey.random(32)
    await using first = await openReplica(server.url, host, { siteId: 'two' })
    const owned = await openOwned(first)
    const slot = await owned.slots.put(secret, CONTEXT)
    const error = await rejectsWith(
      openReplica(server.url, join(dir.path, 'stranger'), { siteId: 'two' }),
      'ERR_QKD_STORE',
    )
    expect(error.message).to.contain('copy slots.bin')
    const fellow = join(dir.path, 'second')
    await mkdir(join(fellow, 'store'), { recursive: true })
    for (const file of ['kek', 'store/slots.bin']) await copyFile(join(host, file), join(fellow, file))
    await using second = await openReplica(server.url, fellow, { siteId: 'two', replicaId: 'replica-2' })
    for (let step = 1; step <= 3; step++) {
      await owned.slots.erase(await owned.slots.put(secret, CONTEXT))
      await owned.slots.destroyErased()
    }
    const epochs = async () => Promise.all([first, second].map(async ({ slots }) => (await HostKey.find(slots))?.epoch))
    await until(async () => (await epochs())[1] === 3, 'the second host follows')
    expect(await epochs()).to.deep.equal([3, 3])
    await owned.close()
    await first.close()
    await ownEpoch(second)
    await using taken = await openOwned(second)
    const read = await taken.slots.read(slot, CONTEXT)
    expect(read.equals(secret)).to.equal(true)
  })

  it('are looked at on a host that is behind without a step of its own', async () => {
    const host = join(dir.path, 'ahead')
    const behind = join(dir.path, 'behind')
    const secret = SecretKey.random(32)
    await using replica = await openReplica(server.url, host, { siteId: 'look' })
    await using owned = await openOwned(replica)
    await mkdir(join(behind, 'store'), { recursive: true })
    for (const file of ['kek', 'store/slots.bin']) await copyFile(join(host, file), join(behind, file))
    const slot = await owned.slots.put(secret, CONTEXT)
    await owned.slots.destroyErased()
    const place = { siteId: 'look', url: server.url, path: join(behind, 'store'), kek: { file: join(behind, 'kek') } }
    const look = await openPostgresToRead(place)
    const read = await look.slots.read(slot, CONTEXT)
    await look.close()
    expect(read.equals(secret)).to.equal(true)
    expect(look.replicas).to.include({ keyEpoch: 1, hostKeyEpoch: 0 })
    await using directory = await openHostDirectory(place)
    expect((await HostKey.find(directory.slots))!.epoch).to.equal(0)
  })

  it('stay readable where a step fails, and step on with the next', async () => {
    const host = join(dir.path, 'failing')
    const secret = SecretKey.random(32)
    await using replica = await openReplica(server.url, host, { siteId: 'failing' })
    await using owned = await openOwned(replica)
    const slot = await owned.slots.put(secret, CONTEXT)
    await owned.slots.erase(await owned.slots.put(secret, CONTEXT))
    await sql.query(`create function full_disk() returns trigger language plpgsql as
      $$ begin raise exception 'No space left on device' using errcode = '53100'; end $$;
      create trigger full_disk before insert or update on qkd_slot execute function full_disk()`)
    await rejectsWith(owned.slots.destroyErased(), 'ERR_QKD_STORE')
    ;(await owned.slots.read(slot, CONTEXT)).wipe()
    await sql.query('drop trigger full_disk on qkd_slot; drop function full_disk')
    await owned.slots.destroyErased()
    ;(await owned.slots.read(slot, CONTEXT)).wipe()
    expect((await sql.query(`select key_epoch from qkd_site where site_id = 'failing'`))[0]).to.deep.equal({
      key_epoch: '1',
    })
  })

  it('are stepped on again on a host whose disk refused the step once', async () => {
    const host = join(dir.path, 'host-disk')
    await using replica = await openReplica(server.url, host, { siteId: 'host-disk' })
    await using owned = await openOwned(replica)
    const { advanceTo } = HostKey.prototype
    HostKey.prototype.advanceTo = async () => {
      throw new StoreError('No space left on device')
    }
    try {
      await rejectsWith(owned.slots.destroyErased(), 'ERR_QKD_STORE')
    } finally {
      HostKey.prototype.advanceTo = advanceTo
    }
    expect((await HostKey.find(replica.slots))!.epoch).to.equal(0)
    await owned.slots.destroyErased()
    expect((await HostKey.find(replica.slots))!.epoch).to.equal(1)
    const secret = SecretKey.random(32)
    ;(await owned.slots.read(await owned.slots.put(secret, CONTEXT), CONTEXT)).wipe()
  })
})
