import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import type { Incident } from '../../../lib/interface/incident.ts'
import { CELL_BYTES } from '../../../lib/key/cells.ts'
import { IncidentBook } from '../../../lib/kms/incident/incident-book.ts'
import { BlockVault } from '../../../lib/kms/store/block-vault.ts'
import { openStore } from '../../../lib/kms/store/open-store.ts'
import { openStoreToRead } from '../../../lib/kms/store/read-store.ts'
import { backupStore, decodeBackup, encodeBackup, restoreStore } from '../../../lib/kms/store/store-backup.ts'
import { PoolPair } from '../../helpers/pool-pair.ts'
import { createTempDir } from '../../helpers/temp-dir.ts'
import { until } from '../../helpers/until.ts'

const pair = { masterSaeId: 'alice', slaveSaeId: 'bob' }
const terms = { siteId: 'site-a', now: () => 1_700_000_000_000 }

describe('a backup of a store', function () {
  this.timeout(60_000)

  it('is made beside a site that runs, and holds none of its cells, block keys and secrets', async () => {
    await using dir = await createTempDir('qkdkit-backup-')
    await using sites = await PoolPair.open({ directory: dir.path, limits: { targetBlocks: 4 } })
    sites.connect()
    const [a] = sites.sites
    await until(() => a.pool.status().blocks.active > 0, 'there are blocks')
    await a.pool.issue({ pair, number: 3, sizeBytes: 32, suite: 2, waitMs: 8000 })
    const path = join(dir.path, 'site-a')
    const open = await openStoreToRead({ path, kek: { file: `${path}.kek` } })
    const text = encodeBackup(await backupStore(open, terms))
    await open.close()
    const { pools } = decodeBackup(text)
    expect(pools[0]!.blocks.length).to.be.at.least(2)
    const [poolId] = await a.store.poolIds()
    const { pool, blocks } = await a.store.snapshot(poolId!)
    const vault = new BlockVault({ ...a, poolId: poolId! })
    const secrets: Buffer[] = []
    for (const block of blocks.filter(({ slot }) => slot >= 0)) {
      const material = await vault.open(block)
      material.expose('application', bytes => {
        for (let at = 0; at < bytes.length; at += CELL_BYTES)
          secrets.push(Buffer.from(bytes.subarray(at, at + CELL_BYTES)))
      })
      material.wipe()
    }
    const root = await vault.readRoot(pool.rootSlot)
    root.expose('application', bytes => secrets.push(Buffer.from(bytes)))
    root.wipe()
    expect(secrets.length).to.be.above(2000)
    const everything = Buffer.from(text)
    for (const secret of secrets.filter(bytes => bytes.some(byte => byte !== 0))) {
      for (const form of [secret, secret.toString('hex'), secret.toString('base64').slice(0, 40)])
        expect(everything.includes(form)).to.equal(false)
    }
  })

  it('makes a store that counts as put back: both sites begin anew, with the policy and numbers as they were', async () => {
    await using dir = await createTempDir('qkdkit-backup-')
    await using sites = await PoolPair.open({ directory: dir.path, limits: { targetBlocks: 4 } })
    sites.connect()
    const [a, b] = sites.sites
    const [early] = await a.pool.issue({ pair, number: 1, sizeBytes: 32, suite: 2, waitMs: 8000 })
    const policy = { version: 1, rules: [] } as never
    const backup = decodeBackup(encodeBackup(await backupStore(a.store, { ...terms, policy })))
    expect(backup.policy).to.deep.equal(policy)
    const [late] = await a.pool.issue({ pair, number: 1, sizeBytes: 32, suite: 2, waitMs: 8000 })
    const path = join(dir.path, 'site-a')
    const floor = BigInt(backup.pools[0]!.floor)
    await sites.restart(0, {
      between: async () => {
        await rm(path, { recursive: true })
        const { store, slots, marks } = await openStore({ path, kek: { file: `${path}.kek` } })
        await restoreStore(store, backup)
        for (const part of [marks, slots, store]) await part.close()
      },
    })
    const [poolId] = await a.store.poolIds()
    const { pool, blocks } = await a.store.snapshot(poolId!)
    expect(pool).to.deep.include({ rolledBack: true, rootSlot: -1, floor })
    expect(blocks.every(({ slot }) => slot === -1)).to.equal(true)
    sites.connect()
    const reset = () =>
      a.events.find(event => event.type === 'pool-reset' && event.reason === 'a store was rolled back')
    await until(() => reset() !== undefined, 'both begin anew')
    expect(reset()).to.have.property('lostCells').that.is.above(0)
    for (const key of [early!, late!]) {
      const outcome = await b.pool.retrieve(pair, [key.keyId], { waitMs: 8000 }).catch(error => error.code)
      expect(outcome).to.equal('ERR_QKD_KEY_NOT_FOUND')
    }
    const [key] = await a.pool.issue({ pair, number: 1, sizeBytes: 32, suite: 2, waitMs: 8000 })
    expect((await b.pool.retrieve(pair, [key!.keyId], { waitMs: 8000 }))[0]!.secret.equals(key!.secret)).to.equal(true)
    const numbers = (await a.store.snapshot(poolId!)).blocks.map(({ number }) => number)
    expect(numbers.every(number => number > floor)).to.equal(true)
  })

  it('carries what is held back over to the new store, to be told to all others again', async () => {
    await using dir = await createTempDir('qkdkit-backup-')
    const incident = {
      id: '2026-11-23-00000001',
      state: 'held',
      selector: { saePair: ['alice', 'bob'] },
      originSiteId: 'site-a',
      by: 'operator',
      openedAtMs: 1,
      changedAtMs: 1,
    } as const satisfies Incident
    const parts = async (name: string) => {
      const path = join(dir.path, name)
      return openStore({ path, kek: { file: `${path}.kek` } })
    }
    const old = await parts('old')
    const told = [{ siteId: 'site-b', changedAtMs: 1, effect: { blocks: 0, erased: 0 } }]
    await (await IncidentBook.open(old.store)).put({ ...incident, told })
    const backup = decodeBackup(encodeBackup(await backupStore(old.store, terms)))
    expect(backup.pools).to.be.empty
    const fresh = await parts('fresh')
    await restoreStore(fresh.store, backup)
    expect((await IncidentBook.open(fresh.store)).incidents).to.deep.equal([{ ...incident, told: [] }])
    for (const { marks, slots, store } of [old, fresh]) for (const part of [marks, slots, store]) await part.close()
  })

  it('is refused where it is damaged, of a newer version, of something else, or the store is not empty', async () => {
    await using dir = await createTempDir('qkdkit-backup-')
    const path = join(dir.path, 'store')
    const { store, slots, marks } = await openStore({ path, kek: { file: `${path}.kek` } })
    const text = encodeBackup(await backupStore(store, terms))
    const body = text.indexOf('\n') + 5
    expect(() => decodeBackup(`${text.slice(0, body)}X${text.slice(body + 1)}`)).to.throw(/checksum/)
    expect(() => decodeBackup(text.replace('"version":1', '"version":2'))).to.throw(/version 2/)
    for (const other of ['', 'null', '{}\n{}', 'PK\u0003']) expect(() => decodeBackup(other)).to.throw(/no backup/)
    await store.commit('a|b', [{ kind: 'pool', poolEpoch: 0, patch: { floor: 1n } }])
    const refused = await restoreStore(store, decodeBackup(text)).catch((error: Error) => error.message)
    expect(refused).to.match(/holds pools already/)
    for (const part of [marks, slots, store]) await part.close()
    await writeFile(`${path}.commits`, '{"format":1,"pools":{"a|b":{"commits":"many"}}}')
    const cure = await openStore({ path, kek: { file: `${path}.kek` } }).catch((error: Error) => error.message)
    expect(cure).to.match(/--after-restore/)
  })
})
