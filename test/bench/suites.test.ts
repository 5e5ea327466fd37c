import { spawnSync } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { expect } from 'chai'
import { suiteNames, unknownSuites } from '../../bench/suites.ts'
import { createTempDir } from '../helpers/temp-dir.ts'

const run = (...args: string[]) => spawnSync(process.execPath, ['--import', 'tsx', ...args], { encoding: 'utf8' })

describe('suiteNames', () => {
  it('names the modules of a folder that are no machinery, sorted', async () => {
    await using dir = await createTempDir()
    for (const name of ['tls.ts', 'kms.ts', 'run.ts', 'report.ts', 'notes.md'])
      await writeFile(join(dir.path, name), '')
    expect(suiteNames(pathToFileURL(`${dir.path}/`))).to.deep.equal(['kms', 'tls'])
  })
})

describe('unknownSuites', () => {
  it('says what is unknown and what there is', () => {
    expect(unknownSuites(['tls', 'tsl'], ['kms', 'tls'])).to.equal('Unknown: tsl. There are: kms, tls')
    expect(unknownSuites(['tls'], ['kms', 'tls'])).to.equal(undefined)
  })
})

describe('npm run bench and npm run soak', () => {
  for (const script of ['bench/run.ts', 'bench/soak.ts']) {
    it(`end with 2 and the list for an unknown name (${script})`, () => {
      const { status, stderr } = run(script, 'nothing-of-the-kind')
      expect(status).to.equal(2)
      expect(stderr).to.match(/Unknown: nothing-of-the-kind\. There/)
    })
  }

  it('refuse a count that is no positive integer', () => {
    const { status, stderr } = run('bench/soak.ts', '--count', '0')
    expect(status).to.equal(2)
    expect(stderr).to.match(/--count must be a positive integer/)
  })
})
