import { expect } from 'chai'
import { createRemoteKms } from '../../lib/client/remote-kms.ts'
import { SHIPPED_POLICY } from '../../lib/kms/policy/admission.ts'
import { rejectsWith } from '../helpers/rejects-with.ts'
import { createServedTestSites, type ServedTestSites } from '../helpers/test-sites.ts'
import { until } from '../helpers/until.ts'
import { runWorkerKills } from '../helpers/worker-kill-trial.ts'

describe('WorkerPool', function () {
  this.timeout(120_000)

  describe('of a site', () => {
    let sites: ServedTestSites

    before(async () => {
      sites = await createServedTestSites({ workers: 2, ops: true })
    })

    after(() => sites[Symbol.asyncDispose]())

    const open = (saeId: string) =>
      createRemoteKms({ saeId, baseUrl: sites.sites[0].address.etsi014.url, ...sites.credentials(saeId) })

    /** What the operations port tells. */
    const told = async (path: string) => {
      const { host, port } = sites.sites[0].address.ops!
      return await (await fetch(`http://${host}:${port}${path}`)).text()
    }

    it('serves hosts of the site and refuses others, as the site itself does', async () => {
      const alice = open('alice')
      const bob = sites.sites[1].kmsFor('bob')
      const given = await alice.getKey('bob', { number: 3 })
      const fetched = await bob.getKeyWithIds(
        'alice',
        given.map(({ keyId }) => keyId),
      )
      for (const [n, key] of given.entries()) expect(key.secret.equals(fetched[n]!.secret)).to.equal(true)
      const keyId = given[0]!.keyId
      await alice.reportKeys!('bob', [{ keyId, state: 'in-use', use: 'tls' }])
      await rejectsWith(alice.reportKeys!('carol', [{ keyId, state: 'in-use', use: 'tls' }]), 'ERR_QKD_UNAUTHORIZED')
      await rejectsWith(alice.getKey('nobody'), 'ERR_QKD_INVALID_ARGUMENT')
      const mallory = open('mallory')
      await rejectsWith(mallory.getStatus('bob'), 'ERR_QKD_UNAUTHORIZED')
      await Promise.all([alice.close(), mallory.close()])
    })

    it('decides by another policy as soon as the site does, in every worker', async () => {
      sites.sites[0].setPolicy({ ...SHIPPED_POLICY, rules: [{ name: 'nobody', deny: true }] })
      const alice = open('alice')
      for (let n = 0; n < 4; n += 1) await rejectsWith(alice.getKey('bob'), 'ERR_QKD_POLICY_DENIED')
      sites.sites[0].setPolicy(SHIPPED_POLICY)
      const [key] = await alice.getKey('bob')
      key!.secret.wipe()
      await alice.close()
    })

    it('counts its workers in the metrics, and those that ended', async () => {
      const pids = sites.sites[0].workerPids()
      expect(new Set(pids).size).to.equal(2)
      expect(await told('/metrics')).to.match(/^qkd_site_workers\{.*\} 2$/m)
      process.kill(pids[0]!, 'SIGKILL')
      await until(() => !sites.sites[0].workerPids().includes(pids[0]!), 'the worker is gone')
      expect(await told('/readyz')).to.match(/[01] of 2 workers serve/)
      await until(() => sites.sites[0].workerPids().length === 2, 'another worker serves', { timeoutMs: 60_000 })
      const text = await told('/metrics')
      expect(text).to.match(/^qkd_site_workers\{.*\} 2$/m)
      expect(text).to.match(/^qkd_workers_lost_total\{.*\} 1$/m)
      expect(await told('/healthz')).to.equal('ok\n')
    })

    it('answers what runs before it ends', async () => {
      const more = await createServedTestSites({ workers: 1, rateBps: 1_000, pool: { maxWaitMs: 1_000 } })
      const { url } = more.sites[0].address.etsi014
      const alice = createRemoteKms({ saeId: 'alice', baseUrl: url, ...more.credentials('alice') })
      await alice.getStatus('bob')
      // The pool has no key yet: the request waits there while the site is told to end.
      const asking = alice.getKey('bob').catch(error => error)
      await until(() => more.sites[0].status().pools[0]!.waitingRequests === 1, 'the request waits')
      const [pid] = more.sites[0].workerPids()
      await more.sites[0].close()
      expect(await asking).to.have.property('code', 'ERR_QKD_POOL_EXHAUSTED')
      expect(() => process.kill(pid!, 0)).to.throw('ESRCH')
      await alice.close()
      await more[Symbol.asyncDispose]()
    })
  })

  it('loses no request silently and no key unseen when workers are killed under load', async () => {
    const { faults, ...report } = await runWorkerKills({ kills: 5 })
    expect(faults).to.deep.equal([])
    expect(report).to.include({ kills: 5, wrong: 0, twice: 0, unanswered: 0, unaccounted: 0 })
    expect(report.asked).to.equal(report.served + report.refused + report.closed)
  })
})
