import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import { EXIT_CODES } from '../../bin/exit-codes.ts'
import { readNetworkFile } from '../../bin/network/network-file.ts'
import { auditPlan } from '../helpers/plan-audit.ts'
import { rejectsWith } from '../helpers/rejects-with.ts'
import { createTempDir } from '../helpers/temp-dir.ts'
import { top } from '../structure/tree.ts'
import { runQkd } from './run-qkd.ts'

const modes = join(top, 'examples/networks/modes-6.json')

describe('qkd network plan', function () {
  this.timeout(60_000)

  it('draws tables of demands and links', async () => {
    const { exitCode, stdout, stderr } = await runQkd(['network', 'plan', modes])
    expect({ exitCode, stderr }).to.deep.equal({ exitCode: 0, stderr: '' })
    expect(stdout).to.match(/^lambda {4}[\d.]+ × weight × rate/m)
    expect(stdout).to.match(/^payments {2,}[\d.]+ b\/s .* - .*, set 1\)/m)
    expect(stdout).to.match(/^to the island +0 b\/s +- +none: no path of links joins the two sites$/m)
    expect(stdout).to.match(/^hall-bank .* % +[\d.]+ %$/m)
  })

  it('gives one JSON document that an audit finds nothing wrong with', async () => {
    const { exitCode, stdout } = await runQkd(['network', 'plan', modes, '--json', '--fairness', 'exact'])
    expect(exitCode).to.equal(0)
    const plan = JSON.parse(stdout)
    expect(auditPlan(JSON.parse(await readFile(modes, 'utf8')), plan)).to.deep.equal([])
    expect(plan.lambda).to.be.above(0)
    expect(plan.gap).to.be.below(1e-4)
  })

  it('reads no further than a file may be long, whatever it is', async () => {
    await rejectsWith(readNetworkFile('/dev/zero'), 'ERR_QKD_CONFIG')
  })

  it('refuses what is no network, with the path of the bad field', async () => {
    await using dir = await createTempDir()
    const file = join(dir.path, 'network.json')
    const network = JSON.parse(await readFile(modes, 'utf8'))
    network.links[2].rateBps = -5
    for (const [text, message] of [
      [JSON.stringify(network), /\/links\/2\/rateBps: must be >= 0/],
      ['{', /network\.json: not JSON: /],
    ] as const) {
      await writeFile(file, text)
      const { exitCode, stdout, stderr } = await runQkd(['network', 'plan', file])
      expect({ exitCode, stdout }).to.deep.equal({ exitCode: EXIT_CODES.config.code, stdout: '' })
      expect(stderr)
        .to.match(/^error: ERR_QKD_CONFIG: .*\n$/)
        .and.match(message)
    }
    const missing = await runQkd(['network', 'plan', join(dir.path, 'no')])
    expect(missing.exitCode).to.equal(EXIT_CODES.system.code)
  })
})
