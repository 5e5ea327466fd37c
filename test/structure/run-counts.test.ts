import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import { appendCounts, countRun } from '../helpers/run-counts.ts'
import { createTempDir } from '../helpers/temp-dir.ts'

const test = (state?: 'passed' | 'failed', pending = false) => ({ state, isPending: () => pending })

describe('countRun', () => {
  it('counts passed, failed and skipped tests at every depth', () => {
    const inner = { tests: [test('passed'), test(undefined, true)], suites: [] }
    const suite = { tests: [test('passed'), test('failed')], suites: [{ tests: [], suites: [inner] }] }
    expect(countRun(suite)).to.deep.equal({ passed: 2, failed: 1, skipped: 1 })
  })

  it('counts a test that never ran as failed', () => {
    expect(countRun({ tests: [test()], suites: [] })).to.deep.equal({ passed: 0, failed: 1, skipped: 0 })
  })
})

describe('appendCounts', () => {
  it('adds one line a run', async () => {
    await using dir = await createTempDir()
    const path = join(dir.path, 'counts')
    appendCounts(path, { passed: 1, failed: 2, skipped: 3 })
    appendCounts(path, { passed: 4, failed: 0, skipped: 0 })
    expect(await readFile(path, 'utf8')).to.equal('1 2 3\n4 0 0\n')
  })
})
