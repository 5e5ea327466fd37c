import { join } from 'node:path'
import { expect } from 'chai'
import { createSocketTransport } from '../../lib/http/socket-transport.ts'
import type { IncidentView } from '../../lib/interface/incident.ts'
import type { BlastRadius } from '../../lib/kms/incident/blast-radius.ts'
import { createOperatorClient } from '../../lib/operators/operator-client.ts'
import { rejectsWith } from '../helpers/rejects-with.ts'
import { type SiteProcesses, startSiteProcesses } from '../helpers/site-process.ts'
import { until } from '../helpers/until.ts'
import { runQkd } from './run-qkd.ts'

const PATIENCE = { timeoutMs: 60_000 }

describe('qkd incident', function () {
  this.timeout(240_000)
  let sites: SiteProcesses

  const at = (name: string) => join(sites.directory, name)
  const run = (...args: string[]) => runQkd(['incident', ...args, '--json'])
  const list = async (siteId: string): Promise<IncidentView[]> => {
    await using site = createOperatorClient(createSocketTransport({ path: at(`${siteId}.sock`) }))
    return (await site.call<{ incidents: IncidentView[] }>('incident-list')).incidents
  }
  const release = async (id: string) => {
    await using site = createOperatorClient(createSocketTransport({ path: at('site-a.sock') }))
    return site.call<IncidentView>('incident-release', { id })
  }
  const hasKey = () =>
    until(
      async () =>
        (
          await sites
            .kms('alice')
            .getStatus('bob')
            .catch(() => undefined)
        )?.storedKeyCount !== 0,
      'the pool has key',
      PATIENCE,
    )
  /** Both sites refuse to let anything out, each by the incident. */
  const isHeld = async (keyId: string) => {
    await rejectsWith(sites.kms('alice').getKey('bob'), 'ERR_QKD_POLICY_DENIED')
    await rejectsWith(sites.kms('bob').getKey('alice'), 'ERR_QKD_POLICY_DENIED')
    await rejectsWith(sites.kms('bob').getKeyWithIds('alice', [keyId]), 'ERR_QKD_POLICY_DENIED')
  }

  before(async () => {
    sites = await startSiteProcesses({ audit: true, operators: true, targetBlocks: 4 })
    await hasKey()
  })
  after(() => sites?.[Symbol.asyncDispose]())

  it('holds keys at both sites, over kill -9 of both, until they are released', async () => {
    const [key] = await eventually(() => sites.kms('alice').getKey('bob'))
    const hold = await run('hold', '--config', at('site-a.json'), '--pool', 'site-b', '--reason', 'a drill')
    expect(hold.exitCode, hold.stderr).to.equal(0)
    const view = JSON.parse(hold.stdout) as IncidentView
    expect(view).to.include({ state: 'held', about: 'pool site-b', reason: 'a drill', by: 'unix socket' })
    expect(view.sites.map(({ siteId, state }) => `${siteId} ${state}`)).to.deep.equal(['site-b told'])
    await isHeld(key!.keyId)
    const [a, b] = sites.processes
    await Promise.all([a.kill(), b.kill()])
    await Promise.all([a.start(), b.start()])
    await until(async () => (await list('site-a'))[0]?.sites[0]?.state === 'told', 'site a tells it again', PATIENCE)
    await isHeld(key!.keyId)
    const released = await run('release', view.id, '--socket', at('site-a.sock'))
    expect(released.exitCode, released.stderr).to.equal(0)
    expect([await list('site-a'), await list('site-b')]).to.deep.equal([[], []])
    const [same] = await eventually(() => sites.kms('bob').getKeyWithIds('alice', [key!.keyId]))
    expect(same!.secret.equals(key!.secret)).to.equal(true)
  })

  it('says where it could not hold, with another exit code, and tells that site when it is back', async () => {
    await eventually(() => sites.kms('alice').getKey('bob'))
    process.kill(sites.processes[1].pid!, 'SIGSTOP')
    let id: string
    try {
      const hold = await run('hold', '--config', at('site-a.json'), '--pool', 'site-b')
      expect(hold.exitCode, hold.stdout).not.to.equal(0)
      expect(hold.stderr).to.include('site-b could not be told')
      const view = JSON.parse(hold.stdout) as IncidentView
      id = view.id
      expect(view.sites[0]).to.include({ siteId: 'site-b', state: 'untold' })
      await rejectsWith(sites.kms('alice').getKey('bob'), 'ERR_QKD_POLICY_DENIED')
      expect((await list('site-a'))[0]!.sites[0]!.state).to.equal('untold')
    } finally {
      process.kill(sites.processes[1].pid!, 'SIGCONT')
    }
    await until(async () => (await list('site-a'))[0]!.sites[0]!.state === 'told', 'site b is told', PATIENCE)
    await rejectsWith(sites.kms('bob').getKey('alice'), 'ERR_QKD_POLICY_DENIED')
    await release(id)
  })

  it('is in force at both sites or at the one that declared it, however a kill cuts a call short', async () => {
    for (const delayMs of [0, 20]) {
      const call = createOperatorClient(createSocketTransport({ path: at('site-a.sock') }))
      const cut = call.call('incident-hold', { selector: { pool: 'site-b' } }).catch(() => undefined)
      await new Promise(resolve => setTimeout(resolve, delayMs))
      await sites.processes[0].kill()
      await cut
      await sites.processes[0].start()
      const known = await list('site-a')
      // What the other was told of is durable here: it was written before.
      for (const { id, originSiteId } of await list('site-b'))
        expect(known.map(view => `${view.originSiteId} ${view.id}`)).to.include(`${originSiteId} ${id}`)
      await until(
        async () => (await list('site-a')).every(view => view.sites.every(({ state }) => state === 'told')),
        'both know',
        PATIENCE,
      )
      if (known.length > 0) await rejectsWith(sites.kms('bob').getKey('alice'), 'ERR_QKD_POLICY_DENIED')
      for (const { id } of known) await release(id)
      expect([await list('site-a'), await list('site-b')]).to.deep.equal([[], []])
    }
  })

  it('reports by the logs of both sites, without a running one, and refuses what names nothing', async () => {
    const logs = ['--audit', at('site-a.audit'), '--audit', at('site-b.audit')]
    const { exitCode, stdout, stderr } = await run('report', '--link', 'a-b', ...logs)
    expect(exitCode, stderr).to.equal(0)
    const radius = JSON.parse(stdout) as BlastRadius
    expect(radius.siteIds).to.deep.equal(['site-a', 'site-b'])
    expect(radius.keys.length).to.be.above(0)
    expect(radius.keys.every(({ isProtected }) => !isProtected)).to.equal(true)
    const words = await runQkd(['incident', 'report', '--sae', 'alice', '--sae', 'bob', ...logs])
    expect(words.stdout).to.include(`${radius.keys.length} keys are exposed`)
    expect((await run('hold', '--socket', at('site-a.sock'))).exitCode).to.equal(2)
  })
})

/** The result of `run` once it succeeds: sites that were started, or freed, a moment ago have no key under lease yet. */
async function eventually<T>(run: () => Promise<T>): Promise<T> {
  let result: { value: T } | undefined
  await until(
    async () => {
      result = await run().then(
        value => ({ value }),
        () => undefined,
      )
      return result !== undefined
    },
    'a key is had',
    PATIENCE,
  )
  return result!.value
}
