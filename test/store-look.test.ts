import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'chai'
import { lookAtStore, rekeyStore } from '../lib/store-look.ts'
import { createTempDir } from './helpers/temp-dir.ts'

describe('lookAtStore', () => {
  it('makes no store where none is, and says so; as does a change of its key', async () => {
    await using dir = await createTempDir('qkdkit-look-')
    const path = join(dir.path, 'typo')
    const lmdb = { kind: 'lmdb', path, kek: { file: `${path}.kek` } } as const
    const postgresql = { ...lmdb, kind: 'postgresql', url: 'postgres://127.0.0.1:1/none', leaseMs: 2_000 } as const
    for (const store of [lmdb, postgresql])
      for (const look of [() => lookAtStore({ siteId: 'site-a', store }), () => rekeyStore(store)])
        expect(await look().then(String, String)).to.match(/no store in .*typo/)
    for (const made of [path, `${path}.kek`, `${path}.commits`]) expect(existsSync(made)).to.equal(false)
  })
})
