import { copyFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import { EXIT_CODES } from '../../bin/exit-codes.ts'
import { policySchema } from '../../lib/index.ts'
import { createTempDir } from '../helpers/temp-dir.ts'
import { top } from '../structure/tree.ts'
import { runQkd } from './run-qkd.ts'

const example = join(top, 'examples/policy.yaml')

describe('qkd policy', function () {
  this.timeout(60_000)

  it('finds nothing wrong with the example', async () => {
    const { exitCode, stdout, stderr } = await runQkd(['policy', 'check', example, '--strict'])
    expect({ exitCode, stderr }).to.deep.equal({ exitCode: 0, stderr: '' })
    expect(stdout).to.equal(`${example}: 6 rules, otherwise deny; no faults\n`)
  })

  it('says which rule decides, where it stands, and which conditions kept others from it', async () => {
    const pair = ['--master', 'backup-1', '--slave', 'vault', '--at', '2026-11-23T12:00Z']
    const { exitCode, stdout } = await runQkd(['policy', 'explain', example, ...pair])
    expect(exitCode).to.equal(0)
    expect(stdout).to.match(/^refused by rule "no backups by day" \(.*policy\.yaml:38:5\)$/m)
    expect(stdout).to.include('passed over: rule "backups run at night", by its time alone')
  })

  it('says whether the rule gives a key of some size, and what it burns', async () => {
    const explain = async (size: string, ...more: string[]) =>
      runQkd(['policy', 'explain', example, '--master', 'alice', '--slave', 'bob', '--size', size, ...more])
    const site = ['--peer-site', 'site-b']
    expect((await explain('264', ...site)).stdout).to.include('a key of 264 bits: yes, it burns 512 bits')
    expect((await explain('65536', ...site)).stdout).to.include(
      'no, such a key burns 65536 bits, and its rate lets 51200',
    )
    const pads = await explain('255496', '--integration', 'file-transfer', '--json')
    expect(JSON.parse(pads.stdout).size).to.include({ allowed: false, why: 'its largest key has 255488 bits' })
    expect((await explain('9')).exitCode).to.equal(EXIT_CODES.usage.code)
  })

  it('gives the same to a program', async () => {
    const { stdout } = await runQkd(['policy', 'explain', example, '--master', 'gw-1', '--slave', 'gw-2', '--json'])
    expect(JSON.parse(stdout)).to.deep.include({ allowed: true, ruleNumber: 1 })
    expect(JSON.parse(stdout).terms).to.deep.include({ level: 'hybrid', priority: 9, maxUnfetchedKeys: 1000 })
    expect(JSON.parse((await runQkd(['policy', 'schema'])).stdout)).to.deep.equal(policySchema)
  })

  it('refuses a policy with line, path and a suggestion', async () => {
    await using dir = await createTempDir()
    const file = join(dir.path, 'policy.yaml')
    await writeFile(file, 'rules:\n  - name: a\n    prioritty: 3\notherwise: deny\n')
    const { exitCode, stderr } = await runQkd(['policy', 'check', file])
    expect(exitCode).to.equal(EXIT_CODES.config.code)
    expect(stderr).to.equal(
      `error: ERR_QKD_CONFIG: ${file}:2:5: /rules/0: field "prioritty" is not known; did you mean "priority"?\n`,
    )
  })

  it('warns of a rule that nothing reaches, and fails on it where it should', async () => {
    await using dir = await createTempDir()
    const file = join(dir.path, 'policy.yaml')
    await copyFile(example, file)
    await writeFile(file, 'rules: [{ name: all }, { name: none, match: { master: [a] } }]\notherwise: deny\n')
    const lax = await runQkd(['policy', 'check', file])
    expect(lax.exitCode).to.equal(0)
    expect(lax.stdout).to.include(`${file}:1:24: rule "none" is never reached: taken by "all"`)
    expect((await runQkd(['policy', 'check', file, '--strict'])).exitCode).to.equal(EXIT_CODES.config.code)
  })
})
