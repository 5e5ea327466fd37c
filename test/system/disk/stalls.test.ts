import { fork } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { expect } from 'chai'
import { TestDisk } from '../../helpers/disk/test-disk.ts'
import type { StallReport } from '../../helpers/stalled-store.ts'
import { createTempDir } from '../../helpers/temp-dir.ts'

const STALL_MS = 400
const ROUNDS = 4

describe('a store on a disk whose every sync takes 400 ms', function () {
  this.timeout(60_000)

  it('holds no other work of its process up: syncs are none of the event loop', async () => {
    await using dir = await createTempDir()
    const diskAt = await TestDisk.prepare()
    const disk = diskAt({ root: `${dir.path}/`, socket: join(dir.path, 'disk') })
    const child = fork(new URL('../../helpers/stalled-store.ts', import.meta.url), [dir.path], {
      execArgv: ['--import', 'tsx'],
      env: { ...process.env, ...disk.env },
    })
    try {
      await once(child, 'message')
      // Once without stalls, for what is compiled at its first use.
      child.send(ROUNDS)
      await once(child, 'message')
      await disk.slow(STALL_MS)
      const before = performance.now()
      child.send(ROUNDS)
      const [report] = (await once(child, 'message')) as [StallReport]
      expect(report.writes).to.equal(3 * ROUNDS)
      // Each of them did wait for its syncs.
      expect(performance.now() - before).to.be.at.least(ROUNDS * STALL_MS)
      // A loop that waited for one would have stood for as long; a busy machine alone makes no such gap in each of them.
      expect(report.p99Ms, JSON.stringify(report)).to.be.below(STALL_MS / 2)
    } finally {
      child.kill('SIGKILL')
      await once(child, 'exit')
    }
  })
})
