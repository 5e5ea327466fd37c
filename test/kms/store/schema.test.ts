import { fork } from 'node:child_process'
import { once } from 'node:events'
import { chmod, cp } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import type { Kms } from '../../../lib/interface/kms.ts'
import { RowMac } from '../../../lib/key/row-mac.ts'
import { SecretKey } from '../../../lib/key/secret-key.ts'
import { verifyStore } from '../../../lib/kms/store/examine-store.ts'
import { LmdbFile } from '../../../lib/kms/store/lmdb-file.ts'
import { LmdbPoolStore } from '../../../lib/kms/store/lmdb-store.ts'
import { openStore } from '../../../lib/kms/store/open-store.ts'
import { MIGRATIONS, migrate, readSchema, SCHEMA_VERSION } from '../../../lib/kms/store/schema.ts'
import { TestDisk } from '../../helpers/disk/test-disk.ts'
import { rejectsWith } from '../../helpers/rejects-with.ts'
import { startSiteProcesses } from '../../helpers/site-process.ts'
import { createTempDir } from '../../helpers/temp-dir.ts'
import { until } from '../../helpers/until.ts'

const SCHEMA_KEY = Buffer.from('schema')

/** Stores of two sites as a version of the software has left them, by its schema. */
function stores(schema: number): string {
  return new URL(`../../vectors/stores/schema-${schema}`, import.meta.url).pathname
}

/** A copy of one site's. */
async function copyOf(schema: number, to: string) {
  const place = { path: join(to, 'store'), kek: { file: join(to, 'kek') } }
  await cp(join(stores(schema), 'site-a.store'), place.path, { recursive: true })
  await cp(join(stores(schema), 'site-a.kek'), place.kek.file)
  await chmod(place.kek.file, 0o600)
  return place
}

/** Draws a key at one site and fetches it at the other. */
async function exchange(master: Kms, slave: Kms): Promise<void> {
  const [key] = await master.getKey(slave.saeId)
  const [fetched] = await slave.getKeyWithIds(master.saeId, [key!.keyId])
  expect(fetched!.secret.equals(key!.secret)).to.equal(true)
}

async function versionOf(path: string): Promise<number> {
  const file = new LmdbFile(join(path, 'pools.mdb'))
  const version = file.read(db => db.get(SCHEMA_KEY)!.readUInt32BE(0))
  await file.close()
  return version
}

describe('the schema of a store', function () {
  this.timeout(90_000)

  it('is that of a store which this version made, and two sites serve from their old stock', async () => {
    // So slow a link brings nothing new while this runs: a block takes four minutes.
    const built = process.env.QKD_TEST_BUILT === '1'
    await using sites = await startSiteProcesses({ from: stores(SCHEMA_VERSION), rateBps: 1000, built })
    const [alice, bob] = [sites.kms('alice'), sites.kms('bob')]
    const [ben, amy] = [sites.kms('ben'), sites.kms('amy')]
    await until(
      () =>
        exchange(alice, bob).then(
          () => true,
          () => false,
        ),
      'the sites meet',
      { timeoutMs: 30_000 },
    )
    for (let at = 0; at < 5; at++) await Promise.all([exchange(alice, bob), exchange(ben, amy)])
  })

  it('is brought from the one before to the present one, and nobody vouches for what the store says', async () => {
    await using dir = await createTempDir()
    const place = await copyOf(1, dir.path)
    expect(await versionOf(place.path)).to.equal(1)
    const { store, slots } = await openStore(place)
    const [poolId] = await store.poolIds()
    const { pool, blocks } = await store.snapshot(poolId!)
    expect(pool).to.include({ rolledBack: true })
    expect(pool.commits).to.be.above(10)
    expect(blocks).to.have.length.above(0)
    const [verdict] = await verifyStore({ store, slots })
    expect(verdict).to.deep.include({ poolId, faults: [] })
    expect(verdict!.opened).to.be.above(blocks.length)
    await slots.close()
    await store.close()
    expect(await versionOf(place.path)).to.equal(SCHEMA_VERSION)
    const again = await openStore(place)
    expect((await again.store.snapshot(poolId!)).blocks).to.deep.equal(blocks)
    await again.slots.close()
    await again.store.close()
  })

  it('is brought up at two sites, which agree with each other anew and serve', async () => {
    await using sites = await startSiteProcesses({ from: stores(1), built: process.env.QKD_TEST_BUILT === '1' })
    const [alice, bob] = [sites.kms('alice'), sites.kms('bob')]
    await until(
      () =>
        exchange(alice, bob).then(
          () => true,
          () => false,
        ),
      'the sites serve again',
      { timeoutMs: 30_000 },
    )
  })

  it('is the old or the new one, whole, wherever power goes while it changes (at every other step)', async () => {
    await using dir = await createTempDir()
    const diskAt = await TestDisk.prepare()
    const found = new Set<number>()
    for (let at = 1, isOver = false; !isOver; at += 2) {
      const directory = join(dir.path, String(at))
      const place = await copyOf(1, directory)
      const disk = diskAt({ root: directory, socket: join(dir.path, `disk-${at}`) })
      const opener = fork(new URL('../../helpers/store-opener.ts', import.meta.url), [directory], {
        execArgv: ['--import', 'tsx'],
        env: { ...process.env, ...disk.env, QKD_DISK_LOSE: `${at} half ${at}` },
        stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
      })
      let said = ''
      opener.stderr!.on('data', chunk => {
        said += String(chunk)
      })
      const [, signal] = await once(opener, 'exit')
      isOver = signal === null
      if (!isOver) await until(() => said.includes('lost '), 'what was not synced is gone')
      found.add(await versionOf(place.path))
      const { store, slots } = await openStore(place)
      const verdicts = await verifyStore({ store, slots })
      expect(verdicts.flatMap(({ faults }) => faults)).to.deep.equal([])
      await slots.close()
      await store.close()
    }
    expect([...found].sort()).to.deep.equal([1, SCHEMA_VERSION])
  })

  it('goes up by as many steps as there are, in one transaction', async () => {
    await using dir = await createTempDir()
    const place = await copyOf(1, dir.path)
    const file = new LmdbFile(join(place.path, 'pools.mdb'))
    const seen: number[] = []
    const steps = [1, 2, 3].map(from => ({
      from,
      prepare: () => () => {
        seen.push(file.read(db => db.get(SCHEMA_KEY)!.readUInt32BE(0)))
      },
    }))
    await migrate(file, { from: 1, rows: new RowMac(SecretKey.random(32)), migrations: steps })
    expect(seen).to.deep.equal([1, 1, 1])
    expect(file.read(db => db.get(SCHEMA_KEY)!.readUInt32BE(0))).to.equal(4)
    await file.close()
    // Each layout that ever was has its step.
    expect(MIGRATIONS.map(({ from }) => from)).to.deep.equal(
      Array.from({ length: SCHEMA_VERSION - 1 }, (_, at) => at + 1),
    )
  })

  it('is refused where a newer version has written it, or there is no way from it', async () => {
    await using dir = await createTempDir()
    const place = await copyOf(SCHEMA_VERSION, dir.path)
    for (const [version, words] of [
      [SCHEMA_VERSION + 1, 'a newer version of qkdkit wrote it'],
      [0, 'there is no way from there'],
    ] as const) {
      const file = new LmdbFile(join(place.path, 'pools.mdb'))
      const bytes = Buffer.alloc(4)
      bytes.writeUInt32BE(version)
      await file.write(db => () => void db.put(SCHEMA_KEY, bytes))
      await rejectsWith(readSchema(file, place.path), 'ERR_QKD_STORE')
      await file.close()
      const error = await rejectsWith(openStore(place), 'ERR_QKD_STORE')
      expect(error.message).to.include(`schema ${version}`).and.include(words)
    }
    // What was refused is as it was.
    await (await LmdbPoolStore.open(join(dir.path, 'new'))).close()
    expect(await versionOf(place.path)).to.equal(0)
  })
})
