import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import { runPowerTrace } from '../../helpers/power-trace.ts'
import { createTempDir } from '../../helpers/temp-dir.ts'
import { copySource, patched } from '../../mutation/run-mutants.ts'

const LOSSES = 4
const built = process.env.QKD_TEST_BUILT === '1'

/** What a site that does not wait for its disk looks like: each has to be caught. */
const unsafe = [
  {
    without: 'the sync of the database',
    file: 'lib/kms/store/lmdb-file.ts',
    find: 'overlappingSync: false,',
    replace: 'overlappingSync: false, noSync: true,',
  },
  {
    without: 'the sync of the slots',
    file: 'lib/kms/store/slot-file.ts',
    find: 'await this.#file.datasync()',
    replace: '',
  },
]

describe('two sites that lose their power', function () {
  this.timeout(180_000)

  it(`give no key twice, none wrong and every live one, over ${LOSSES} losses of what was not synced`, async () => {
    const report = await runPowerTrace({ losses: LOSSES, rekey: true, built })
    expect(report.faults).to.deep.equal([])
    expect(report).to.include({ wrong: 0, twice: 0, refused: 0 })
    // A run in which nothing was lost would show nothing.
    expect(report.lostSteps).to.be.above(LOSSES)
    expect(report.drawn).to.be.above(20 * LOSSES)
  })

  for (const { without, ...place } of unsafe) {
    it(`are caught without ${without}`, async () => {
      await using copy = await createTempDir('qkdkit-unsafe-')
      await copySource(copy.path)
      const source = await patched({ without, ...place, test: '', title: '' }, copy.path)
      await writeFile(join(copy.path, place.file), source)
      const { wrong, twice, refused } = await runPowerTrace({ losses: 2, root: copy.path })
      expect(wrong + twice + refused).to.be.above(0)
    })
  }
})
