import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import { FileMemory, PassingMemory } from '../../../lib/qnl/control/controller-memory.ts'
import { EpochCounter } from '../../../lib/qnl/control/epoch-counter.ts'
import { PlanMemory } from '../../../lib/qnl/control/plan-memory.ts'
import { rejectsWith } from '../../helpers/rejects-with.ts'
import { createTempDir } from '../../helpers/temp-dir.ts'

describe('EpochCounter', () => {
  it('never gives a number again, over restarts at any moment', async () => {
    await using dir = await createTempDir()
    const path = join(dir.path, 'state')
    let last = 0
    for (let restart = 0; restart < 5; restart++) {
      const epochs = new EpochCounter(await FileMemory.open(path))
      for (let count = 0; count < 700; count++) {
        const epoch = await epochs.next()
        expect(epoch).to.be.above(last)
        last = epoch
      }
    }
  })

  it('goes above what a node follows already, within reason', async () => {
    await using dir = await createTempDir()
    const epochs = new EpochCounter(await FileMemory.open(join(dir.path, 'state')))
    expect(await epochs.next()).to.equal(1)
    epochs.heard(50_000)
    expect(await epochs.next()).to.equal(50_001)
    epochs.heard(10)
    epochs.heard(Number.MAX_SAFE_INTEGER)
    expect(await epochs.next()).to.equal(50_002)
  })

  it('has numbers left whatever a node claims in small steps', async () => {
    const epochs = new EpochCounter(new PassingMemory())
    let claimed = 1
    for (let step = 0; step < 10_000; step++) {
      if (epochs.heard(claimed + 2 ** 40 - 1)) claimed += 2 ** 40 - 1
    }
    expect(await epochs.next()).to.be.within(claimed, 2 ** 52 + 1)
    expect(epochs.heard(2 ** 53 - 1)).to.equal(false)
  })
})

describe('FileMemory', () => {
  it('remembers what is under maintenance, and refuses a file that is not its own', async () => {
    await using dir = await createTempDir()
    const path = join(dir.path, 'state')
    await (await FileMemory.open(path)).setDrained(['a-b'])
    expect(await (await FileMemory.open(path)).drained()).to.deep.equal(['a-b'])
    await writeFile(path, '{"lastEpoch":"many"}')
    await rejectsWith(FileMemory.open(path), 'ERR_QKD_STORE')
  })
})

describe('PlanMemory', () => {
  it('has the last plan after a restart, and none out of a damaged file', async () => {
    await using dir = await createTempDir()
    const path = join(dir.path, 'plan.json')
    const memory = await PlanMemory.open(path)
    expect(memory.plan).to.equal(undefined)
    for (const epoch of [1, 2, 3]) memory.remember({ epoch, gap: 0, demands: [] })
    await memory.settled()
    expect((await PlanMemory.open(path)).plan).to.deep.equal({ epoch: 3, gap: 0, demands: [] })
    await writeFile(path, '{"epoch":-1}')
    expect((await PlanMemory.open(path)).plan).to.equal(undefined)
  })
})
