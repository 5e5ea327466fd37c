/**
 * Writes the stores of two sites as the code of this checkout has them, into a directory: `node --import tsx
 * test/vectors/stores/make-stores.ts DIRECTORY`. `schema-2` here is of the first commit that has this file; `schema-1` of
 * 56e4ff3, the last with that layout, into which this file was copied.
 */
import { copyFile, mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { open } from 'lmdb'
import { startSiteProcesses } from '../../helpers/site-process.ts'
import { until } from '../../helpers/until.ts'

const KEYS = 12

const to = process.argv[2]!
await using sites = await startSiteProcesses({ targetBlocks: 4 })
for (const [alice, bob] of [
  [sites.kms('alice'), sites.kms('bob')],
  [sites.kms('ben'), sites.kms('amy')],
] as const)
  for (let at = 0; at < KEYS; at++) {
    let keyId = ''
    await until(
      async () => {
        keyId = await alice.getKey(bob.saeId).then(
          ([key]) => key!.keyId,
          () => '',
        )
        return keyId !== ''
      },
      'a key is there',
      { timeoutMs: 20_000 },
    )
    // Each third is never fetched.
    if (at % 3 !== 0) await bob.getKeyWithIds(alice.saeId, [keyId])
  }
for (const site of sites.processes) await site.stop()
for (const { siteId } of sites.processes) {
  const [from, store] = [join(sites.directory, `${siteId}.store`), join(to, `${siteId}.store`)]
  await mkdir(store, { recursive: true })
  await copyFile(join(from, 'slots.bin'), join(store, 'slots.bin'))
  await copyFile(join(sites.directory, `${siteId}.kek`), join(to, `${siteId}.kek`))
  const db = open({ path: join(from, 'pools.mdb'), encoding: 'binary', keyEncoding: 'binary', noSubdir: true })
  await db.backup(join(store, 'pools.mdb'), true)
  await db.close()
}
