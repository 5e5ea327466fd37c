import { existsSync } from 'node:fs'
import { readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import { EXIT_CODES } from '../../bin/exit-codes.ts'
import { startSiteProcesses } from '../helpers/site-process.ts'
import { createTempDir } from '../helpers/temp-dir.ts'
import { runQkd } from './run-qkd.ts'

describe('qkd store', function () {
  this.timeout(120_000)

  it('changes the key of a running site, of a stopped one, says what is in it, backs it up and puts it back', async () => {
    await using sites = await startSiteProcesses()
    const [site] = sites.processes
    const config = join(sites.directory, 'site-a.json')
    const keyFile = join(sites.directory, 'site-a.kek')
    const before = await readFile(keyFile)
    const [alice, bob] = [sites.kms('alice'), sites.kms('bob')]
    const drawn = await alice.getKey('bob')
    const running = await runQkd(['store', 'rekey', '--config', config, '--json'])
    expect({ ...running, stdout: JSON.parse(running.stdout) }).to.include({ exitCode: 0, stderr: '' })
    expect(JSON.parse(running.stdout)).to.deep.equal({ by: 'site' })
    const after = await readFile(keyFile)
    expect(after.equals(before)).to.equal(false)
    // The site goes on, with the blocks that it had.
    const [fetched] = await bob.getKeyWithIds('alice', [drawn[0]!.keyId])
    expect(fetched!.secret.equals(drawn[0]!.secret)).to.equal(true)
    await alice.getKey('bob')

    const inUse = await runQkd(['store', 'inspect', '--config', config])
    expect(inUse.exitCode).to.equal(EXIT_CODES.store.code)
    expect(inUse.stderr).to.include('in use by process')
    const backup = join(sites.directory, 'site-a.backup')
    const made = await runQkd(['store', 'backup', backup, '--config', config])
    expect(made.stdout).to.match(/: 1 pools, \d+ blocks; it holds no key$/m)
    const again = await runQkd(['store', 'backup', backup, '--config', config])
    expect(again.exitCode).to.equal(EXIT_CODES.config.code)
    expect(again.stderr).to.include('is there already')
    const nowhere = join(sites.directory, 'none', 'a.backup')
    const unplaced = await runQkd(['store', 'backup', nowhere, '--config', config])
    expect(unplaced.exitCode).to.equal(EXIT_CODES.config.code)
    expect(unplaced.stderr).to.match(/^error: ERR_QKD_CONFIG: no such directory: .*none; make it/)

    await site.stop()
    const stopped = await runQkd(['store', 'rekey', '--config', config])
    expect(stopped.stdout).to.match(/^Changed: \d+ slots are wrapped anew$/m)
    const inspected = JSON.parse((await runQkd(['store', 'inspect', '--config', config, '--json'])).stdout)
    expect(inspected.pools).to.have.length(1)
    expect(inspected.pools[0]).to.include({ poolId: 'site-a|site-b', rolledBack: false })
    expect(inspected.pools[0].consumedCells + inspected.pools[0].leasedCells).to.be.above(0)
    const verified = await runQkd(['store', 'verify', '--config', config])
    expect(verified.stdout).to.match(/: \d+ opened, 0 damaged$/m)

    const kept = await runQkd(['store', 'restore', backup, '--config', config])
    expect(kept.stderr).to.include('goes into an empty one')
    await rename(join(sites.directory, 'site-a.store'), join(sites.directory, 'old.store'))
    const gone = await runQkd(['store', 'rekey', '--config', config])
    expect(gone.exitCode).to.equal(EXIT_CODES.store.code)
    expect(gone.stderr).to.include('no store in')
    expect(existsSync(`${keyFile}.next`)).to.equal(false)
    const missing = await runQkd(['store', 'restore', nowhere, '--config', config])
    expect(missing.exitCode).to.equal(EXIT_CODES.config.code)
    expect(missing.stderr).to.match(/^error: ERR_QKD_CONFIG: no such file: .*a\.backup; /)
    const foreign = await runQkd(['store', 'restore', backup, '--config', join(sites.directory, 'site-b.json')])
    expect(foreign.stderr).to.include('is a backup of site-a')
    const restored = await runQkd(['store', 'restore', backup, '--config', config, '--json'])
    expect(JSON.parse(restored.stdout)).to.include({ siteId: 'site-a', pools: 1, rules: 0 })
    const fresh = JSON.parse((await runQkd(['store', 'inspect', '--config', config, '--json'])).stdout)
    expect(fresh.pools[0]).to.include({ rolledBack: true, floor: inspected.pools[0].floor })

    await writeFile(keyFile, before)
    const wrong = await runQkd(['store', 'verify', '--config', config])
    expect(wrong.exitCode).to.equal(EXIT_CODES.store.code)
    expect(wrong.stderr).to.include('sealed under key encryption key')
  })

  it('refuses a store that keeps nothing, and a key of another kind', async () => {
    await using dir = await createTempDir()
    const missing = await runQkd(['store', 'inspect', '--config', join(dir.path, 'none.json')])
    expect(missing.exitCode).to.equal(EXIT_CODES.config.code)
    await using sites = await startSiteProcesses({ store: 'memory' })
    const memory = await runQkd(['store', 'rekey', '--config', join(sites.directory, 'site-a.json')])
    expect(memory.exitCode).to.equal(EXIT_CODES.config.code)
    expect(memory.stderr).to.include('kind "memory"')
  })
})
