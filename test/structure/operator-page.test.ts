import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import { loadSiteConfig } from '../../lib/index.ts'
import { runQkd } from '../bin/run-qkd.ts'
import { createTempDir } from '../helpers/temp-dir.ts'
import { readSource } from './tree.ts'

describe('docs/operator.md', () => {
  it('shows configurations that load, over certificates made as it says', async () => {
    const { text } = readSource('docs/operator.md')
    const commands = [...text.matchAll(/^npx qkd (pki init .*)$/gm)].map(match => match[1]!.split(' '))
    const configs = [...text.matchAll(/^`(site-\w\.json)`[^`]*```json\n([\s\S]*?)```/gm)]
    expect([commands.length, configs.length]).to.deep.equal([2, 2])
    await using dir = await createTempDir()
    for (const command of commands) expect((await runQkd(command, { cwd: dir.path })).exitCode).to.equal(0)
    for (const [, name = '', json = ''] of configs) {
      await writeFile(join(dir.path, name), json)
      expect((await loadSiteConfig(join(dir.path, name))).warnings).to.deep.equal([])
    }
  })
})
