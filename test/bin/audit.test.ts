import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import { EXIT_CODES } from '../../bin/exit-codes.ts'
import { AuditFile, createMlDsaAuthority, issueMlDsaCertificate } from '../../lib/index.ts'
import { SiteIdentity } from '../../lib/key/site-identity.ts'
import { Checkpoints } from '../../lib/kms/audit/checkpoints.ts'
import { createTempDir } from '../helpers/temp-dir.ts'
import { runQkd } from './run-qkd.ts'

/** A log of five lines, the third of which is a refusal of Carol. */
async function auditLog(dir: string): Promise<string> {
  const path = join(dir, 'audit.log')
  let atMs = Date.UTC(2026, 10, 23, 12)
  await using log = await AuditFile.open(path, { siteId: 'site-a', now: () => (atMs += 60_000) })
  const pair = { masterSaeId: 'alice', slaveSaeId: 'bob', level: 'quantum', outcome: 'allowed', rule: 'all' } as const
  await log.record({ event: 'issue', ...pair, keyIds: ['k1'] })
  await log.record({ event: 'issue', ...pair, keyIds: ['k2', 'k3'] })
  await log.record({
    event: 'refuse',
    outcome: 'ERR_QKD_POLICY_DENIED',
    masterSaeId: 'carol',
    slaveSaeId: 'bob',
    reason: 'no',
  })
  await log.record({ event: 'deliver', ...pair, masterSaeId: 'bob', slaveSaeId: 'alice', keyIds: ['k4'] })
  await log.record({ event: 'policy', outcome: 'allowed', reason: '3 rules in force' })
  return path
}

describe('qkd audit', function () {
  this.timeout(180_000)

  it('verifies a log, and knows one whose end is missing by the hash that was kept', async () => {
    await using dir = await createTempDir()
    const path = await auditLog(dir.path)
    const { link, lines } = JSON.parse((await runQkd(['audit', 'verify', path, '--json'])).stdout)
    expect(lines).to.equal(5)
    expect((await runQkd(['audit', 'verify', path, '--link', link])).exitCode).to.equal(0)
    const text = await readFile(path, 'utf8')
    await writeFile(path, text.split('\n').slice(0, 4).join('\n').concat('\n'))
    expect((await runQkd(['audit', 'verify', path])).exitCode).to.equal(0)
    const short = await runQkd(['audit', 'verify', path, '--link', link])
    expect(short.exitCode).to.equal(EXIT_CODES.config.code)
    expect(short.stderr).to.include('the end of the log is missing')
    await writeFile(path, text.replace('"carol"', '"alice"'))
    const changed = await runQkd(['audit', 'verify', path])
    expect(changed.stderr).to.include(`${path}:4: does not follow from the line before`)
  })

  it('verifies offline what a site has signed, of several logs, and names the first bad line', async () => {
    await using dir = await createTempDir()
    const path = await auditLog(dir.path)
    const ca = createMlDsaAuthority({ commonName: 'sites', days: 1 })
    const own = issueMlDsaCertificate(ca, { commonName: 'site-a', uris: ['urn:qkdkit:site:site-a'], days: 1 })
    const files = { cert: own.certificatePem, key: own.privateKeyPem, ca: ca.certificatePem }
    const log = await AuditFile.open(path, { siteId: 'site-a' })
    const head = () => log.head
    await new Checkpoints({ siteId: 'site-a', log, head, identity: new SiteIdentity(files) }).close()
    await log.close()
    const key = join(dir.path, 'ca.pem')
    await writeFile(key, ca.certificatePem)
    const verify = (...args: string[]) => runQkd(['audit', 'verify', '--provenance', '--key', key, ...args])
    const { exitCode, stdout, stderr } = await verify(path, path, '--json')
    expect(exitCode, stderr).to.equal(0)
    const [verdict, again] = JSON.parse(stdout)
    expect(verdict).to.deep.equal(again)
    expect(verdict).to.include({ file: path, ok: true, signedLines: 5, checkpoints: 1, keys: 4, keysWithoutOrigin: 4 })
    const late = await verify(path, '--signed-after', '2030-01-01T00:00Z')
    expect(late.exitCode).to.equal(EXIT_CODES.config.code)
    expect(late.stderr).to.include('its end may be missing')
    await writeFile(path, (await readFile(path, 'utf8')).replace('"signature":"', '"signature":"AAAA'))
    expect((await verify(path)).stderr).to.include(`${path}:6: a checkpoint whose signature is not one of the signer`)
  })

  it('prints the last lines for a person and for a program', async () => {
    await using dir = await createTempDir()
    const path = await auditLog(dir.path)
    const { stdout } = await runQkd(['audit', 'tail', path, '--lines', '3'])
    expect(stdout.trimEnd().split('\n')).to.deep.equal([
      '2026-11-23T12:03:00.000Z refuse carol to bob ERR_QKD_POLICY_DENIED: no',
      '2026-11-23T12:04:00.000Z deliver bob to alice k4 (quantum) allowed by rule "all"',
      '2026-11-23T12:05:00.000Z policy allowed: 3 rules in force',
    ])
    const json = (await runQkd(['audit', 'tail', path, '--lines', '1', '--json'])).stdout
    expect(JSON.parse(json)).to.include({ n: 5, event: 'policy' })
  })

  it('exports what concerns a host, or a time', async () => {
    await using dir = await createTempDir()
    const path = await auditLog(dir.path)
    const carols = (await runQkd(['audit', 'export', path, '--sae', 'carol'])).stdout
    expect(JSON.parse(carols)).to.include({ n: 3, outcome: 'ERR_QKD_POLICY_DENIED' })
    const span = ['--since', '2026-11-23T12:02Z', '--until', '2026-11-23T12:04Z']
    const lines = (await runQkd(['audit', 'export', path, ...span])).stdout.trimEnd().split('\n')
    expect(lines.map(line => JSON.parse(line).n)).to.deep.equal([2, 3])
    expect((await runQkd(['audit', 'export', path, '--since', 'tomorrow'])).exitCode).to.equal(EXIT_CODES.usage.code)
  })
})
