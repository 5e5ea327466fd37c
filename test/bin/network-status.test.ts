import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import { EXIT_CODES } from '../../bin/exit-codes.ts'
import { createControllerServer } from '../../lib/controller-server.ts'
import { verifyAudit } from '../../lib/kms/audit/verify-audit.ts'
import { NodeAgent } from '../../lib/qnl/control/node-agent.ts'
import { dialController } from '../../lib/site-network.ts'
import { ReportingNode } from '../helpers/reporting-node.ts'
import { createTempDir } from '../helpers/temp-dir.ts'
import { createTestAuthority } from '../helpers/test-certificates.ts'
import { until } from '../helpers/until.ts'
import { runQkd } from './run-qkd.ts'

describe('qkd network status, drain and restore', function () {
  this.timeout(240_000)

  it('show a running network, and take a link out of it and back', async () => {
    await using dir = await createTempDir()
    const authority = createTestAuthority()
    await using server = await createControllerServer({
      controllerId: 'controller',
      listen: { host: '127.0.0.1', port: 0 },
      tls: authority.issue('controller'),
      sites: ['a', 'b'].map(siteId => ({ siteId, kmeId: `kme-${siteId}` })),
      operators: ['ops', { name: 'reader', roles: ['auditor'] }],
      audit: { file: join(dir.path, 'audit.log') },
      state: { kind: 'file', path: join(dir.path, 'state') },
      periodMs: 100,
    })
    const controllers = [{ controllerId: 'controller', ...server.address }]
    const node = new ReportingNode('a')
    node.setLink('a-b', 'b', { rateBps: 1_000_000, stockBits: 8_000_000 })
    node.setDemand('b', { rateBps: 5000, weight: 2, kind: 'continuous', mode: 'multipath' })
    await using controller = dialController(
      { tls: authority.issue('kme-a'), network: { controllers } },
      { siteId: 'a' },
    )
    await using _ = new NodeAgent({ node, controller })
    await until(() => (node.plan?.demands[0]?.rateBps ?? 0) > 0, 'a plan', { timeoutMs: 60_000 })
    const config = join(dir.path, 'operator.json')
    for (const [name, pem] of Object.entries(authority.issue('ops'))) {
      await writeFile(join(dir.path, `${name}.pem`), pem, { mode: 0o600 })
    }
    const tls = { cert: 'cert.pem', key: 'key.pem', ca: 'ca.pem' }
    await writeFile(config, JSON.stringify({ tls, controllers }))

    const shown = await runQkd(['network', 'status', '--config', config])
    expect(shown.exitCode, shown.stderr).to.equal(0)
    expect(shown.stdout).to.match(/^leads {5}controller$/m)
    expect(shown.stdout).to.match(/^a +joined +\d+ +[\d.]+ s ago$/m)
    expect(shown.stdout).to.match(/^b +unknown +0 +never$/m)
    expect(shown.stdout).to.match(/^a-b +a - b +up +5 kb\/s +1 Mb\/s +1 MB$/m)
    expect(shown.stdout).to.match(/^a - b +5 kb\/s +5 kb\/s +2 +their link$/m)

    const drained = await runQkd(['network', 'drain', 'a-b', '--fill', '0', '--wait', '--config', config])
    const unfilled = 'a-b: out of the plans, before all its pools were full\n'
    expect(drained).to.deep.equal({ exitCode: 0, stdout: unfilled, stderr: '' })
    await until(() => node.plan?.demands[0]?.rateBps === 0, 'a plan without it', { timeoutMs: 30_000 })
    const restored = await runQkd(['network', 'restore', 'a', '--config', config, '--json'])
    expect(JSON.parse(restored.stdout)).to.deep.equal({ links: ['a-b'] })

    // By role: an auditor reads, and who is not known does not come in.
    const reader = join(dir.path, 'reader.json')
    for (const [name, pem] of Object.entries(authority.issue('reader')))
      await writeFile(join(dir.path, `reader-${name}.pem`), pem, { mode: 0o600 })
    await writeFile(
      reader,
      JSON.stringify({ tls: { cert: 'reader-cert.pem', key: 'reader-key.pem', ca: 'ca.pem' }, controllers }),
    )
    const [read, refused] = await Promise.all([
      runQkd(['network', 'status', '--config', reader, '--json']),
      runQkd(['network', 'drain', 'a-b', '--config', reader]),
    ])
    expect(read.exitCode, read.stderr).to.equal(0)
    expect(refused.stderr).to.include('"reader" may not: network-drain is not for auditor')
    const calls: string[] = []
    await verifyAudit(join(dir.path, 'audit.log'), {
      onLine: ({ operator, call, arguments: args, outcome }) => {
        if (call !== 'network-status')
          calls.push(`${operator!.name} (${operator!.roles.join()}) ${call} ${JSON.stringify(args)} ${outcome}`)
      },
    })
    expect(calls).to.deep.equal([
      'ops (operator) network-drain {"linkId":"a-b"} allowed',
      'ops (operator) network-restore {"siteId":"a"} allowed',
      'reader (auditor) network-drain {"linkId":"a-b"} ERR_QKD_UNAUTHORIZED',
    ])
    await until(() => (node.plan?.demands[0]?.rateBps ?? 0) > 0, 'a plan with it', { timeoutMs: 30_000 })

    // The pool is far below its level: the drain waits for it, long before its time is over, and says how far it is.
    const pool = { stockBits: 1_000_000, targetBits: 8_000_000 }
    const demand = { rateBps: 5000, weight: 2, kind: 'continuous', mode: 'multipath' } as const
    node.setDemand('b', { ...demand, pool })
    const filling = runQkd(['network', 'drain', 'a-b', '--fill', '600', '--wait', '--config', config])
    const linkNow = async () => (await controller.status({ signal: AbortSignal.timeout(10_000) })).links[0]!
    // Half of the time must do for seven million bits.
    await until(() => (node.plan?.demands[0]?.rateBps ?? 0) > 20_000, 'a plan that fills', { timeoutMs: 30_000 })
    await until(async () => (await linkNow()).filling!.leftMs < 597_000, 'some progress', { timeoutMs: 30_000 })
    expect((await linkNow()).filling).to.deep.include({ pairs: 1, full: 0 })
    node.setDemand('b', { ...demand, pool: { ...pool, stockBits: 7_900_000 } })
    const { stdout, stderr } = await filling
    expect(stdout).to.equal('a-b: out of the plans\n')
    expect(stderr).to.match(/^a-b: 0 of 1 pools full, 59\d s left$/m)
    expect(await linkNow()).to.include({ drain: 'drained', filled: true, loadBps: 0 })

    const wrong = await runQkd(['network', 'drain', 'nowhere', '--config', config])
    expect(wrong.exitCode).to.equal(EXIT_CODES.usage.code)
    expect(wrong.stderr).to.include('There is no link or site "nowhere" in this network')
  })
})
