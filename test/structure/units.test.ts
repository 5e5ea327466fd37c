import { execFile } from 'node:child_process'
import { copyFile, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { promisify } from 'node:util'
import { expect } from 'chai'
import { peerProgram } from '../helpers/peer-program.ts'
import { createTempDir } from '../helpers/temp-dir.ts'
import { top } from './tree.ts'

const run = promisify(execFile)

/** The units that the examples bring, each with a name to start it by and the exposure that it may have, 0 to 10, in tenths. */
const units = [
  ...['site', 'network', 'kms', 'qnl', 'link'].map(role => ({
    file: 'examples/systemd/qkd@.service',
    name: `qkd@${role}.service`,
    exposure: 20,
  })),
  { file: 'examples/strongswan/qkd-ipsec.service', name: 'qkd-ipsec.service', exposure: 60 },
  { file: 'examples/kerberos/qkd-kerberos.service', name: 'qkd-kerberos.service', exposure: 45 },
]

describe('the systemd units of the examples', function () {
  this.timeout(60_000)

  for (const { file, name, exposure } of units) {
    it(`${name} is a unit without faults, and as shut in as it says`, async function () {
      const analyze = peerProgram(this, 'systemd-analyze', 'systemd')
      await using dir = await createTempDir()
      await copyFile(join(top, file), join(dir.path, basename(file)))
      const unit = join(dir.path, name)
      // A fault of the unit is a line on standard error, whatever the exit code.
      const { stderr } = await run(analyze, ['verify', '--man=no', unit])
      expect(stderr.split('\n').filter(line => line.includes(dir.path))).to.deep.equal([])
      await run(analyze, ['security', '--offline=true', `--threshold=${exposure}`, '--no-pager', unit])
    })
  }

  it('would find a fault', async function () {
    const analyze = peerProgram(this, 'systemd-analyze', 'systemd')
    await using dir = await createTempDir()
    const unit = join(dir.path, 'open.service')
    await writeFile(unit, '[Service]\nExecStart=/usr/bin/env true\nLimitCoer=0\n')
    const { stderr } = await run(analyze, ['verify', '--man=no', unit])
    expect(stderr).to.include('LimitCoer')
    const loose = await run(analyze, ['security', '--offline=true', '--threshold=20', '--no-pager', unit]).catch(
      () => 'too open',
    )
    expect(loose).to.equal('too open')
  })
})
