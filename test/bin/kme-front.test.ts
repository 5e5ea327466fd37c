import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { expect } from 'chai'
import { createAccessKms } from '../../lib/client/profile-kms.ts'
import { createForeignKmePair } from '../helpers/foreign-kme.ts'
import { createTempDir } from '../helpers/temp-dir.ts'
import { createTestAuthority } from '../helpers/test-certificates.ts'
import { runQkd } from './run-qkd.ts'

const PROGRAM = ['--import', 'tsx', new URL('../../bin/qkd.ts', import.meta.url).pathname]

describe('qkd kme front', function () {
  this.timeout(60_000)

  it("serves a site's hosts from another vendor's KME by its policy, and drains at SIGTERM", async () => {
    await using dir = await createTempDir()
    const authority = createTestAuthority()
    const vendor = [authority.issue('NULLA-QKD-7F-A'), authority.issue('NULLA-QKD-7F-B')] as const
    await using foreign = await createForeignKmePair(vendor, [['alice'], ['bob', 'carol']])
    const write = async (name: string, tls: Record<'cert' | 'key' | 'ca', string>) => {
      for (const [part, pem] of Object.entries(tls))
        await writeFile(join(dir.path, `${name}.${part}`), pem, { mode: 0o600 })
      return { cert: `${name}.cert`, key: `${name}.key`, ca: `${name}.ca` }
    }
    const rules = [{ name: 'not carol', match: { slave: ['carol'] }, deny: true }]
    await writeFile(join(dir.path, 'policy.json'), JSON.stringify({ rules, otherwise: 'allow' }))
    const config = {
      siteId: 'site-a',
      kmeId: 'front-a',
      listen: { port: 0 },
      ops: { port: 0 },
      tls: await write('front', authority.issue('front-a')),
      saes: [{ saeId: 'alice', tls: await write('alice', authority.issue('alice')) }],
      kmes: [{ peerSiteId: 'site-b', saes: ['bob', 'carol'], kme: foreign.kmes[0].url, kmeId: foreign.kmes[0].kmeId }],
      policy: { file: 'policy.json' },
      audit: { file: 'audit.log' },
    }
    const path = join(dir.path, 'front.json')
    await writeFile(path, JSON.stringify(config))
    const child = spawn(process.execPath, [...PROGRAM, 'kme', 'front', '--config', path, '--json'], {
      stdio: ['ignore', 'pipe', 'ignore'],
    })
    try {
      const [line] = await once(createInterface({ input: child.stdout }), 'line', {
        signal: AbortSignal.timeout(30_000),
      })
      const { kmeId, address } = JSON.parse(String(line))
      expect(kmeId).to.equal('front-a')
      await using alice = createAccessKms(
        { kme: address.etsi014.url, kmeId, tls: authority.issue('alice') },
        { saeId: 'alice' },
      )
      await using bob = createAccessKms({ kme: foreign.kmes[1].url, tls: authority.issue('bob') }, { saeId: 'bob' })
      const [given] = await alice.getKey('bob')
      expect(given).to.include({ level: 'quantum', trustClass: 'direct' })
      const [fetched] = await bob.getKeyWithIds('alice', [given!.keyId])
      expect(fetched!.secret.equals(given!.secret)).to.equal(true)
      const refusal = await alice.getKey('carol').catch((error: { code: string }) => error.code)
      expect(refusal).to.equal('ERR_QKD_POLICY_DENIED')
      const metrics = await (await fetch(`http://127.0.0.1:${address.ops.port}/metrics`)).text()
      expect(metrics).to.match(/site="site-a"/)
    } finally {
      child.kill('SIGTERM')
    }
    const [code] = child.exitCode === null ? await once(child, 'exit') : [child.exitCode]
    expect(code).to.equal(0)
    const { stdout } = await runQkd(['audit', 'verify', join(dir.path, 'audit.log')])
    expect(stdout).to.match(/2 lines, each follows/)
  })

  it('names every fault of a configuration at once', async () => {
    await using dir = await createTempDir()
    const path = join(dir.path, 'front.json')
    const kme = { peerSiteId: 'site-a', saes: ['alice'], kme: 'http://kme' }
    const tls = { cert: 'no.crt', key: 'no.key', ca: 'no-ca.crt' }
    const config = {
      siteId: 'site-a',
      kmeId: 'f',
      listen: { port: 0 },
      tls,
      saes: [{ saeId: 'alice', tls }],
      kmes: [kme],
    }
    await writeFile(path, JSON.stringify(config))
    const { exitCode, stderr } = await runQkd(['kme', 'front', '--config', path])
    expect(exitCode).to.be.greaterThan(0)
    for (const pointer of ['/kmes/0/kme', '/kmes/0/saes/0', '/kmes/0/peerSiteId']) expect(stderr).to.include(pointer)
  })
})
