import { copyFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import { open } from 'lmdb'
import { lp, u64 } from '../../../lib/key/lp.ts'
import { SecretKey } from '../../../lib/key/secret-key.ts'
import { BlockVault } from '../../../lib/kms/store/block-vault.ts'
import { openStore } from '../../../lib/kms/store/open-store.ts'
import { blockRecord } from '../../compliance/pool-store.ts'
import { rejectsWith } from '../../helpers/rejects-with.ts'
import { tamperWithStore } from '../../helpers/store-tamper-trial.ts'
import { createTempDir } from '../../helpers/temp-dir.ts'

const POOL = 'site-a|site-b'
const FLIPS = 120

describe('a store that somebody has altered', function () {
  this.timeout(120_000)

  it(`serves nothing that was not written, wherever a bit of its files falls over (${FLIPS} of them)`, async () => {
    const { wrong, refused, crashed } = await tamperWithStore({ flips: FLIPS })
    expect(wrong).to.deep.equal([])
    expect(refused).to.be.above(FLIPS / 2)
    expect(crashed).to.be.below(FLIPS / 10)
  })

  it('refuses rows and material that were swapped', async () => {
    for (const kind of ['block', 'sealed'] as const) {
      await using dir = await createTempDir()
      const place = await twoBlocks(dir.path)
      const db = open<Buffer, Buffer>({
        path: join(place.path, 'pools.mdb'),
        encoding: 'binary',
        keyEncoding: 'binary',
        noSubdir: true,
      })
      const [one, two] = [lp(kind, POOL, u64(1n)), lp(kind, POOL, u64(2n))]
      const [first, second] = [Buffer.from(db.get(one)!), Buffer.from(db.get(two)!)]
      await db.put(one, second)
      await db.put(two, first)
      await db.close()
      const { store, slots } = await openStore(place)
      const read = async () => {
        const vault = new BlockVault({ store, slots, poolId: POOL })
        for (const block of (await store.snapshot(POOL)).blocks) await vault.open(block)
      }
      await rejectsWith(read(), 'ERR_QKD_STORE')
      await slots.close()
      await store.close()
    }
  })

  it('opens no block with the keys of an older copy', async () => {
    await using dir = await createTempDir()
    const place = await twoBlocks(dir.path)
    const slotFile = join(place.path, 'slots.bin')
    await copyFile(slotFile, join(dir.path, 'older'))
    await addBlock(place, 3n)
    await copyFile(join(dir.path, 'older'), slotFile)
    const { store, slots } = await openStore(place)
    const vault = new BlockVault({ store, slots, poolId: POOL })
    const { blocks } = await store.snapshot(POOL)
    await vault.open(blocks[0]!)
    await rejectsWith(vault.open(blocks[2]!), 'ERR_QKD_STORE')
    await slots.close()
    await store.close()
  })
})

async function twoBlocks(directory: string) {
  const place = { path: join(directory, 'store'), kek: { file: join(directory, 'kek') } }
  for (const number of [1n, 2n]) await addBlock(place, number)
  return place
}

async function addBlock(place: { path: string; kek: { file: string } }, number: bigint): Promise<void> {
  const { store, slots } = await openStore(place)
  const block = { number, trustClass: 'direct' as const }
  const { slot, sealed } = await new BlockVault({ store, slots, poolId: POOL }).seal(block, SecretKey.random(32_000))
  await store.commit(POOL, [
    { kind: 'insert', record: blockRecord(number, { state: 'active', slot }), sealed, raiseFloor: true },
  ])
  await slots.close()
  await store.close()
}
