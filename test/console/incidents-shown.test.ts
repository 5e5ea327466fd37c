import { expect } from 'chai'
import type { AlarmRow } from '../../lib/console/sections.ts'
import type { IncidentView } from '../../lib/interface/incident.ts'
import type { OperatorIdentity } from '../../lib/interface/operator.ts'
import { createSite } from '../../lib/site.ts'
import { createServedTestSites } from '../helpers/test-sites.ts'
import { until } from '../helpers/until.ts'
import { stateOf } from './events-of.ts'

const operator: OperatorIdentity = { name: 'eve', roles: ['security-officer'], by: 'socket' }

describe('incidents on the console', function () {
  this.timeout(60_000)

  it('stand there after a restart, until the last site knows of them, and until they are over', async () => {
    await using served = await createServedTestSites({ store: 'lmdb' })
    const [first, second] = served.sites
    const [configA, configB] = served.configs
    await second.close()
    const call = (site: typeof first, name: string, args: object) =>
      site.operators.perform(name, args, { operator, signal: AbortSignal.timeout(30_000) })
    const { id, openedAtMs } = (await call(first, 'incident-hold', { selector: { pool: 'site-b' } })) as IncidentView
    await first.close()

    const again = await createSite({ ...configA, console: { host: '127.0.0.1', port: 0 } })
    const shown = async (): Promise<AlarmRow | undefined> => {
      const { sections } = await stateOf(again.address.console!.url)
      return sections.alarms!.standing.find(row => row.id === `incident:${id}`)
    }
    const untold = `Incident ${id} of site-a: keys are held back (pool site-b); not told yet: site-b`
    expect(await shown()).to.deep.include({ severity: 'critical', raisedAtMs: openedAtMs, text: untold })

    const { host, port } = configA.peers[0]!
    const links = configB.links.map(link => ({ ...link, port: second.address.links[link.linkId]!.port }))
    const back = await createSite({ ...configB, links, peerListen: { host: host!, port: port! } })
    await until(async () => (await shown())?.severity === 'major', 'the other site knows of it')
    expect((await shown())!.text).not.to.contain('not told yet')
    await call(again, 'incident-release', { id })
    expect(await shown()).to.equal(undefined)
    await Promise.all([again.close(), back.close()])
  })
})
