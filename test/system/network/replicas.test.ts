import { expect } from 'chai'
import { type ControllerServer, createControllerServer } from '../../../lib/controller-server.ts'
import type { NodePlan } from '../../../lib/interface/network-node.ts'
import { NodeAgent } from '../../../lib/qnl/control/node-agent.ts'
import { dialController } from '../../../lib/site-network.ts'
import { withoutPeer } from '../../helpers/peer-program.ts'
import { postgresPrograms, startPostgres } from '../../helpers/postgres.ts'
import { ReportingNode } from '../../helpers/reporting-node.ts'
import { createTestAuthority } from '../../helpers/test-certificates.ts'
import { until } from '../../helpers/until.ts'

const RATE_BPS = 100_000

describe('replicas of a controller', function () {
  this.timeout(120_000)

  it('elect one by their database, which goes on above every epoch of the one before', async function () {
    const programs = postgresPrograms() ?? withoutPeer(this, 'PostgreSQL is not installed (Debian package postgresql)')
    await using database = await startPostgres(programs)
    const authority = createTestAuthority()
    const servers: ControllerServer[] = []
    for (const controllerId of ['controller-1', 'controller-2']) {
      const server = await createControllerServer({
        controllerId,
        listen: { host: '127.0.0.1', port: 0 },
        tls: authority.issue(controllerId),
        sites: ['a', 'b'].map(siteId => ({ siteId, kmeId: `kme-${siteId}` })),
        operators: [],
        state: { kind: 'postgresql', url: database.url },
        periodMs: 100,
      })
      servers.push(server)
    }
    const leaders = () => servers.filter(({ leading }) => leading)
    const controllers = servers.map(({ controllerId, address }) => ({ controllerId, ...address }))
    const nodes = ['a', 'b'].map(siteId => new ReportingNode(siteId))
    const agents = nodes.map(node => {
      const tls = authority.issue(`kme-${node.siteId}`)
      const controller = dialController({ tls, network: { controllers } }, { siteId: node.siteId })
      const agent = new NodeAgent({ node, controller, reportMs: 100 })
      return { controller, close: () => agent.close().then(() => controller.close()) }
    })
    const [a, b] = nodes as [ReportingNode, ReportingNode]
    const epochs: number[] = []
    a.plans.add((plan: NodePlan) => epochs.push(plan.epoch))
    const planned = (rateBps: number) =>
      until(() => Math.abs((a.plan?.demands[0]?.rateBps ?? 0) - rateBps) < 1, `a plan for ${rateBps}`, {
        timeoutMs: 30_000,
      })
    const ask = (rateBps: number) => a.setDemand('b', { rateBps, weight: 1, kind: 'continuous', mode: 'multipath' })
    try {
      for (const [node, other] of [[a, 'b'] as const, [b, 'a'] as const])
        node.setLink('a-b', other, { rateBps: RATE_BPS })
      ask(1000)
      await planned(1000)
      expect(leaders()).to.have.length(1)
      await agents[0]!.controller.drain({ linkId: 'a-b' }, { fillMs: 0, signal: AbortSignal.timeout(10_000) })
      await planned(0)

      const [first] = leaders()
      await first!.close()
      await until(() => leaders().length === 1, 'another leader', { timeoutMs: 30_000 })
      expect(leaders()[0]).to.not.equal(first)
      // What was under maintenance is so still, and the nodes found the other replica by themselves.
      await until(
        async () => {
          const { links } = await agents[0]!.controller.status({ signal: AbortSignal.timeout(20_000) })
          return links[0]?.drain === 'drained'
        },
        'the drained link',
        { timeoutMs: 30_000 },
      )
      await agents[0]!.controller.restore({ linkId: 'a-b' }, { signal: AbortSignal.timeout(20_000) })
      ask(2000)
      await planned(2000)

      await database.kill()
      await until(() => leaders().length === 0, 'no leader without a database', { timeoutMs: 30_000 })
      expect(a.plan!.demands[0]!.rateBps).to.be.closeTo(2000, 1)
      await database.start()
      ask(3000)
      await planned(3000)
      expect(epochs).to.deep.equal([...new Set(epochs)].sort((p, q) => p - q))
    } finally {
      await Promise.all(agents.map(agent => agent.close()))
      await Promise.all(servers.map(server => server.close()))
    }
  })
})
