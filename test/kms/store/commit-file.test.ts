import { mkdir, rmdir } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import { openStore } from '../../../lib/kms/store/open-store.ts'
import { createTempDir } from '../../helpers/temp-dir.ts'

const mark = { poolEpoch: 1, commits: 7, isWhole: true }

describe('CommitFile', () => {
  it('says in the log that it cannot be written, and is written as soon as it can', async () => {
    await using dir = await createTempDir('qkdkit-commits-')
    const path = join(dir.path, 'store')
    const errors: string[] = []
    const ignore = () => {}
    const logger = { debug: ignore, info: ignore, warn: ignore, error: (_: object, text: string) => errors.push(text) }
    const place = { path, kek: { file: `${path}.kek` } }
    const { store, slots, marks } = await openStore(place, { logger })
    const obstacle = `${path}.commits.tmp`
    await mkdir(obstacle)
    marks.note('a|b', mark)
    await marks.flush()
    expect(errors).to.deep.equal(['The commit numbers cannot be written'])
    await rmdir(obstacle)
    for (const part of [marks, slots, store]) await part.close()
    const again = await openStore(place)
    expect(again.marks.read('a|b')).to.deep.equal(mark)
    for (const part of [again.marks, again.slots, again.store]) await part.close()
  })
})
