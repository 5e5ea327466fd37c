import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import { attackDrained } from '../../helpers/shred-trial.ts'
import { createTempDir } from '../../helpers/temp-dir.ts'
import { copySource, patched } from '../../mutation/run-mutants.ts'

describe('somebody with the key encryption key and every file of a store, a second after a block drained', function () {
  this.timeout(120_000)

  it('reads none of its cells, at either site', async () => {
    for (const report of await attackDrained({ built: process.env.QKD_TEST_BUILT === '1' })) {
      expect(report.drained).to.be.above(0)
      // He can read: of what lived, the first copy gave him everything.
      expect(report.cellsBefore).to.be.above(3 * 900)
      expect(report.cellsAfter, report.siteId).to.equal(0)
    }
  })

  it('reads them where only the entry in the database is deleted', async () => {
    await using copy = await createTempDir('qkdkit-kept-')
    await copySource(copy.path)
    const file = 'lib/kms/store/slot-file.ts'
    const kept = {
      without: 'the erasure of slots',
      file,
      find: 'const erasing = this.#erase(slot, context).finally(() => this.#erasing.delete(slot))',
      replace: 'const erasing = Promise.resolve(true)',
    }
    await writeFile(join(copy.path, file), await patched({ ...kept, test: '', title: '' }, copy.path))
    for (const { drained, cellsAfter, siteId } of await attackDrained({ root: copy.path })) {
      expect(drained, siteId).to.be.above(0)
      expect(cellsAfter, siteId).to.be.above(100)
    }
  })
})
