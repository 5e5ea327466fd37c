import assert from 'node:assert/strict'
import type { NetworkController, NetworkEvent } from '../../lib/interface/network-controller.ts'
import type { LinkReport, NodePlan, NodeReport, RoutedDemand } from '../../lib/interface/network-node.ts'
import type { Demand } from '../../lib/interface/qnl.ts'
import { type ComplianceCase, runSuite, type TestSetup } from './suite.ts'

/** The controller of a network of the sites `a`, `b` and `c`, as each of them, and an operator, reaches it. */
export interface NetworkControllerFixture {
  /** As the node of that site sees it; the same one at each call. */
  at(siteId: 'a' | 'b' | 'c'): NetworkController
  /** As one sees it who may drain everything. */
  readonly operator: NetworkController
}

const PATIENCE_MS = 8000
const patience = () => ({ signal: AbortSignal.timeout(PATIENCE_MS) })
const SITES = ['a', 'b', 'c'] as const
type SiteId = (typeof SITES)[number]
const RATE_BPS = 100_000

/** A node that reports what it is told to, and keeps the plans that it gets. */
class ReportingNode {
  readonly plans: NodePlan[] = []
  readonly seat
  readonly #siteId: SiteId
  readonly #links = new Map<string, LinkReport>()
  readonly #demands = new Map<string, Demand>()
  #wake: () => void = () => {}

  constructor(fixture: NetworkControllerFixture, siteId: SiteId) {
    this.#siteId = siteId
    for (const other of SITES) if (other !== siteId) this.link(other, {})
    this.seat = fixture.at(siteId).join(siteId, plan => {
      this.plans.push(plan)
      this.#wake()
    })
    this.report()
  }

  get epoch(): number {
    return this.plans.at(-1)?.epoch ?? 0
  }

  link(to: SiteId, change: Partial<LinkReport>): this {
    const linkId = [this.#siteId, to].sort().join('-')
    const fresh = { linkId, remoteSiteId: to, state: 'up', secrecy: 'none', rateBps: RATE_BPS, stockBits: 0 } as const
    this.#links.set(linkId, { ...fresh, ...change })
    return this
  }

  ask(to: SiteId, rateBps: number, more: Partial<Demand> = {}): this {
    this.#demands.set(to, { rateBps, weight: 1, kind: 'continuous', mode: 'multipath', ...more })
    return this
  }

  report(epoch = this.epoch): void {
    const demands = [...this.#demands].map(([remoteSiteId, demand]) => ({ remoteSiteId, demand }))
    const report: NodeReport = { siteId: this.#siteId, epoch, links: [...this.#links.values()], demands }
    this.seat.report(report)
  }

  /** The demand towards `to` in the first plan that `accepts` it. */
  async planned(to: SiteId, accepts: (demand: RoutedDemand, plan: NodePlan) => boolean): Promise<RoutedDemand> {
    const { signal } = patience()
    for (let at = 0; ; at += 1) {
      while (this.plans.length <= at) {
        signal.throwIfAborted()
        await new Promise<void>(resolve => {
          const timer = setTimeout(resolve, 200)
          this.#wake = () => {
            clearTimeout(timer)
            resolve()
          }
        })
      }
      const demand = this.plans[at]!.demands.find(({ remoteSiteId }) => remoteSiteId === to)
      if (demand !== undefined && accepts(demand, this.plans[at]!)) return demand
    }
  }
}

interface Run {
  readonly fixture: NetworkControllerFixture
}

async function withNodes(
  fixture: NetworkControllerFixture,
  work: (nodes: Record<SiteId, ReportingNode>) => Promise<void>,
): Promise<void> {
  const nodes = {
    a: new ReportingNode(fixture, 'a'),
    b: new ReportingNode(fixture, 'b'),
    c: new ReportingNode(fixture, 'c'),
  }
  try {
    await work(nodes)
  } finally {
    for (const node of Object.values(nodes)) await node.seat.close()
  }
}

const near = (actual: number, expected: number) => Math.abs(actual - expected) <= expected * 0.03

const cases: ComplianceCase<Run>[] = [
  [
    'plans a demand over every path, and tells both ends what is granted',
    async ({ fixture }) => {
      await withNodes(fixture, async ({ a, b }) => {
        a.ask('b', 10 * RATE_BPS).report()
        const sent = await a.planned('b', ({ rateBps }) => near(rateBps, 2 * RATE_BPS))
        assert.deepEqual(sent.paths.map(({ sites }) => sites.join('')).sort(), ['ab', 'acb'])
        for (const { sites, linkIds } of sent.paths) assert.equal(linkIds.length, sites.length - 1)
        const received = await b.planned('a', ({ rateBps }) => near(rateBps, 2 * RATE_BPS))
        assert.equal(received.rateBps, sent.rateBps)
        assert.ok(a.plans.every(({ gap }) => gap >= 0 && gap < 0.01))
      })
    },
  ],
  [
    'grants no more than is asked',
    async ({ fixture }) => {
      await withNodes(fixture, async ({ b }) => {
        b.ask('c', 12_345).report()
        const { rateBps } = await b.planned('c', demand => demand.rateBps > 0)
        assert.ok(rateBps <= 12_345.001)
      })
    },
  ],
  [
    'numbers plans in ascending order, above what a node already follows',
    async ({ fixture }) => {
      await withNodes(fixture, async ({ a }) => {
        a.ask('b', 1000).report()
        await a.planned('b', ({ rateBps }) => rateBps > 0)
        const claimed = a.epoch + 5000
        a.report(claimed)
        a.ask('b', 2000).report(claimed)
        await a.planned('b', ({ rateBps }, { epoch }) => near(rateBps, 2000) && epoch > claimed)
        const epochs = a.plans.map(({ epoch }) => epoch)
        assert.deepEqual(
          epochs,
          [...epochs].sort((p, q) => p - q),
        )
        assert.equal(new Set(epochs).size, epochs.length)
      })
    },
  ],
  [
    'gives the plan in force to a node that joins again, and closes the place that it had',
    async ({ fixture }) => {
      await withNodes(fixture, async ({ a }) => {
        a.ask('c', 3000).report()
        await a.planned('c', ({ rateBps }) => near(rateBps, 3000))
        const again = new ReportingNode(fixture, 'a')
        const before = a.plans.length
        again.ask('c', 4000).report()
        await again.planned('c', ({ rateBps }) => near(rateBps, 4000))
        assert.equal(a.plans.length, before)
        await again.seat.close()
      })
    },
  ],
  [
    'plans around a link that goes down at one end, and over it again when it is back',
    async ({ fixture }) => {
      await withNodes(fixture, async ({ a, b }) => {
        a.ask('b', 10 * RATE_BPS).report()
        await a.planned('b', ({ rateBps }) => near(rateBps, 2 * RATE_BPS))
        b.link('a', { state: 'down', rateBps: 0 }).report()
        const around = await a.planned('b', ({ rateBps }) => near(rateBps, RATE_BPS))
        assert.deepEqual(
          around.paths.map(({ sites }) => sites.join('')),
          ['acb'],
        )
        const { epoch } = a
        b.link('a', {}).report()
        await a.planned('b', ({ rateBps }, plan) => plan.epoch > epoch && near(rateBps, 2 * RATE_BPS))
      })
    },
  ],
  [
    'says why a demand is not served',
    async ({ fixture }) => {
      await withNodes(fixture, async ({ a, b }) => {
        // Up and without key: a link that is down too often would be kept out of the plans for a while.
        a.link('b', { rateBps: 0 }).link('c', { rateBps: 0 })
        a.ask('b', 1000).report()
        const { reason, paths } = await a.planned('b', demand => demand.rateBps === 0 && demand.reason !== undefined)
        assert.notEqual(reason, '')
        assert.deepEqual([...paths], [])
        assert.equal((await b.planned('a', ({ rateBps }) => rateBps === 0)).remoteSiteId, 'a')
      })
    },
  ],
  [
    'shares what is short by weight',
    async ({ fixture }) => {
      await withNodes(fixture, async ({ a, b, c }) => {
        // Only b-c is left between b and the others, so both demands share it.
        a.link('b', { rateBps: 0 })
        b.link('a', { rateBps: 0 })
        a.ask('b', 10 * RATE_BPS).report()
        c.ask('b', 10 * RATE_BPS, { weight: 3 }).report()
        b.report()
        await b.planned('c', ({ rateBps }) => near(rateBps, 0.75 * RATE_BPS))
        await b.planned('a', ({ rateBps }) => near(rateBps, 0.25 * RATE_BPS))
      })
    },
  ],
  [
    'keeps the shares of a split apart',
    async ({ fixture }) => {
      await withNodes(fixture, async ({ a }) => {
        a.ask('b', 1000, { mode: 'split' }).report()
        const { paths, mode } = await a.planned('b', ({ rateBps }) => near(rateBps, 1000))
        assert.equal(mode, 'split')
        const relays = paths.flatMap(({ sites, set }) => sites.slice(1, -1).map(relay => `${set} ${relay}`))
        assert.equal(new Set(relays).size, relays.length)
      })
    },
  ],
  [
    'shows sites, links and pairs in its status',
    async ({ fixture }) => {
      await withNodes(fixture, async ({ a }) => {
        a.ask('b', 5000).report()
        await a.planned('b', ({ rateBps }) => near(rateBps, 5000))
        const status = await fixture.at('c').status(patience())
        assert.ok(status.epoch >= a.epoch)
        assert.deepEqual(
          status.sites.map(({ siteId, state }) => `${siteId} ${state}`),
          ['a joined', 'b joined', 'c joined'],
        )
        assert.deepEqual(
          status.links.map(({ linkId, a: from, b: to, state }) => [linkId, from, to, state]),
          [
            ['a-b', 'a', 'b', 'up'],
            ['a-c', 'a', 'c', 'up'],
            ['b-c', 'b', 'c', 'up'],
          ],
        )
        const pair = status.pairs.find(each => each.a === 'a' && each.b === 'b')
        assert.ok(pair !== undefined && near(pair.grantedBps, 5000) && pair.askedBps === 5000)
      })
    },
  ],
  [
    'takes a drained link out of the plans, and back',
    async ({ fixture }) => {
      await withNodes(fixture, async ({ a }) => {
        const events: NetworkEvent[] = []
        const stop = fixture.operator.onEvent(event => events.push(event))
        a.ask('b', 10 * RATE_BPS).report()
        await a.planned('b', ({ rateBps }) => near(rateBps, 2 * RATE_BPS))
        assert.deepEqual(await fixture.operator.drain({ linkId: 'a-b' }, { ...patience(), fillMs: 0 }), ['a-b'])
        const { epoch } = a
        await a.planned('b', ({ rateBps }, plan) => plan.epoch >= epoch && near(rateBps, RATE_BPS))
        const drained = (await fixture.operator.status(patience())).links.find(({ linkId }) => linkId === 'a-b')
        assert.equal(drained?.drain, 'drained')
        assert.deepEqual(await fixture.operator.restore({ siteId: 'a' }, patience()), ['a-b', 'a-c'])
        const drainedEpoch = a.epoch
        await a.planned('b', ({ rateBps }, plan) => plan.epoch > drainedEpoch && near(rateBps, 2 * RATE_BPS))
        stop()
        const drains = events.flatMap(event => (event.type === 'drain' ? `${event.linkId} ${event.state}` : []))
        assert.deepEqual(drains, ['a-b filling', 'a-b drained', 'a-b back'])
      })
    },
  ],
  [
    'refuses to drain what there is not',
    async ({ fixture }) => {
      const none = { code: 'ERR_QKD_INVALID_ARGUMENT' }
      await assert.rejects(fixture.operator.drain({ linkId: 'nowhere' }, patience()), none)
      await assert.rejects(fixture.operator.restore({ siteId: 'nowhere' }, patience()), none)
      await assert.rejects(fixture.operator.drain({ linkId: 'a-b' }, { fillMs: -1 }), none)
    },
  ],
  [
    'has no place for a site that it does not know',
    async ({ fixture }) => {
      assert.throws(() => fixture.at('a').join('nowhere', () => {}), { code: 'ERR_QKD_INVALID_ARGUMENT' })
    },
  ],
  [
    'ends a call with its signal',
    async ({ fixture }) => {
      const reason = new Error('No longer wanted')
      await assert.rejects(fixture.at('a').status({ signal: AbortSignal.abort(reason) }), reason)
    },
  ],
  [
    'refuses everything once it is closed',
    async ({ fixture }) => {
      for (const controller of [fixture.at('b'), fixture.operator]) {
        await Promise.all([controller.close(), controller.close()])
        await assert.rejects(controller.status(), { code: 'ERR_QKD_CLOSED' })
        assert.throws(() => controller.join('b', () => {}), { code: 'ERR_QKD_CLOSED' })
      }
    },
  ],
]

/** The suite that every `NetworkController` passes. */
export function networkControllerCompliance(setup: TestSetup<NetworkControllerFixture>): void {
  runSuite(
    'NetworkController',
    {
      ...setup,
      setup: async () => ({ fixture: await setup.setup() }),
      teardown: ({ fixture }) => setup.teardown(fixture),
    },
    cases,
  )
}
