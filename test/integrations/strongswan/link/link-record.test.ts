import { mkdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import { LinkStore } from '../../../../integrations/strongswan/link/link-record.ts'
import { rejectsWith } from '../../../helpers/rejects-with.ts'
import { createTempDir } from '../../../helpers/temp-dir.ts'

async function reopened(directory: string): Promise<LinkStore> {
  const store = new LinkStore(directory, 'c')
  await store.open()
  return store
}

describe('LinkStore', () => {
  it('remembers what became of each key, over restarts', async () => {
    await using dir = await createTempDir()
    const store = await reopened(dir.path)
    await store.take(1, 'k1')
    expect((await reopened(dir.path)).record.pending).to.deep.equal({ epoch: 1, keyId: 'k1' })
    await store.commit({ epoch: 1, keyId: 'k1', sinceMs: 5 })
    await store.take(2, 'k2')
    await store.burn()
    await store.burn('k3')
    const { record } = await reopened(dir.path)
    expect(record).to.deep.equal({
      epoch: 2,
      committed: { epoch: 1, keyId: 'k1', sinceMs: 5 },
      pending: null,
      used: ['k1', 'k2', 'k3'],
      burned: ['k2', 'k3'],
    })
    expect((await stat(join(dir.path, 'c.json'))).mode & 0o777).to.equal(0o600)
  })

  it('has nothing to burn where nothing was taken', async () => {
    await using dir = await createTempDir()
    const store = await reopened(dir.path)
    await store.burn()
    expect(store.record.burned).to.deep.equal([])
  })

  it('stays bounded', async () => {
    await using dir = await createTempDir()
    const store = await reopened(dir.path)
    const long = Array.from({ length: 1_024 }, (_, at) => `k${at}`)
    await writeFile(
      join(dir.path, 'c.json'),
      JSON.stringify({ ...store.record, used: long, burned: long.slice(0, 64) }),
    )
    await store.open()
    await store.take(1, 'new')
    await store.burn()
    expect(store.record.used).to.have.length(1_024)
    expect(store.record.burned).to.have.length(64)
    expect(store.hasUsed('new')).to.equal(true)
    expect(store.hasUsed('k0')).to.equal(false)
  })

  it('writes one record after the other, whatever comes at once', async () => {
    await using dir = await createTempDir()
    const store = await reopened(dir.path)
    await Promise.all(Array.from({ length: 20 }, (_, at) => store.take(at, `k${at}`)))
    expect(JSON.parse(await readFile(join(dir.path, 'c.json'), 'utf8'))).to.deep.equal(store.record)
  })

  for (const text of ['{', 'null', '[]', '{"epoch":"1","used":[],"burned":[],"committed":null,"pending":null}', '{}']) {
    it(`refuses a file that holds ${text.slice(0, 12)}, and names it`, async () => {
      await using dir = await createTempDir()
      await mkdir(dir.path, { recursive: true })
      await writeFile(join(dir.path, 'c.json'), text)
      const error = await rejectsWith(reopened(dir.path), 'ERR_QKD_CONFIG')
      expect(error.message).to.match(/c\.json: .*remove it to begin anew/)
    })
  }
})
