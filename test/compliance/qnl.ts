import assert from 'node:assert/strict'
import { setImmediate as turn } from 'node:timers/promises'
import type { Demand, Qnl, QnlBlock, QnlEvent } from '../../lib/interface/qnl.ts'
import { BlockMatcher } from './block-matcher.ts'
import { type ComplianceCase, runSuite, type TestSetup } from './suite.ts'

/** The QNLs of two sites that are joined, and the power to cut what joins them. */
export interface QnlFixture {
  readonly qnls: readonly [Qnl, Qnl]
  /** Cuts every path between the sites; the QNLs notice by themselves. */
  interrupt(): Promise<void>
  /** Mends them. */
  restore(): Promise<void>
  /** Key that waits for the pair at that side, in bits. Default what the links in the QNL's status have. */
  waitingBits?(side: 0 | 1): number
}

/** A fixture, and what its blocks were so far. */
interface QnlRun extends QnlFixture {
  readonly fixture: QnlFixture
  readonly matcher: BlockMatcher<QnlBlock>
  /** The remote site of each QNL. */
  readonly peers: readonly [string, string]
}

const PATIENCE_MS = 8000
const POOL_BLOCK_BYTES = 32_000
const steady: Demand = { rateBps: 1000, weight: 1, kind: 'continuous', mode: 'single' }
/** More than any network yields, in bits per second. */
const BOUNDLESS_BPS = 1e15

const patience = () => ({ signal: AbortSignal.timeout(PATIENCE_MS) })

/** Resolves with the first event of that type from now on. */
function eventOf<T extends QnlEvent['type']>(qnl: Qnl, type: T): Promise<Extract<QnlEvent, { type: T }>> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      stop()
      reject(new Error(`No event of type ${type}`))
    }, PATIENCE_MS)
    const stop = qnl.onEvent(event => {
      if (event.type !== type) return
      clearTimeout(timer)
      stop()
      resolve(event as Extract<QnlEvent, { type: T }>)
    })
  })
}

/** Takes what waits for the pair at that side; the paths must be cut. */
async function drain({ qnls, matcher, fixture }: QnlRun, side: 0 | 1): Promise<void> {
  const stockBits = async () => {
    if (fixture.waitingBits !== undefined) return fixture.waitingBits(side)
    const { links } = await qnls[side].status(patience())
    return links.reduce((sum, link) => sum + link.bufferedBits, 0)
  }
  while ((await stockBits()) > 0) await matcher.take(side)
}

const cases: ComplianceCase<QnlRun>[] = [
  [
    'gives both sites the same blocks of 32,000 bytes, once and in ascending order',
    async ({ peers, matcher }) => {
      for (const side of [0, 1] as const) {
        const block = await matcher.take(side)
        assert.equal(block.remoteSiteId, peers[side])
        if (!block.secret.wiped) assert.equal(block.secret.sizeBytes, POOL_BLOCK_BYTES)
        assert.ok(['direct', 'split', 'relayed', 'post-quantum'].includes(block.trustClass))
        assert.deepEqual([...block.relays], [...block.relays].sort())
        assert.equal(block.relays.length === 0, block.trustClass === 'direct')
      }
      await matcher.match(20)
      await matcher.level()
    },
  ],
  [
    'names its own site and those it shares key with, sorted',
    async ({ qnls, peers }) => {
      for (const side of [0, 1] as const) {
        const siteIds = await qnls[side].remoteSiteIds()
        assert.ok(siteIds.includes(peers[side]))
        assert.ok(!siteIds.includes(qnls[side].siteId))
        assert.deepEqual([...siteIds], [...siteIds].sort())
        assert.equal((await qnls[side].status(patience())).siteId, qnls[side].siteId)
      }
    },
  ],
  [
    'refuses sites that no path leads to',
    async ({ qnls }) => {
      for (const qnl of qnls) {
        for (const nowhere of ['nowhere', '', 'x'.repeat(500), qnl.siteId]) {
          await assert.rejects(qnl.nextBlock(nowhere, patience()), { code: 'ERR_QKD_NO_ROUTE' })
          await assert.rejects(qnl.setDemand(nowhere, steady, patience()), { code: 'ERR_QKD_NO_ROUTE' })
        }
      }
    },
  ],
  [
    'grants at most what is asked and what the network yields, and shows it in its status',
    async ({ qnls: [qnl], peers: [peer] }) => {
      const standing = async () => (await qnl.status(patience())).demands.find(each => each.remoteSiteId === peer)
      const small = await qnl.setDemand(peer, steady, patience())
      assert.equal(small.rateBps, steady.rateBps)
      assert.deepEqual(await standing(), { remoteSiteId: peer, askedBps: steady.rateBps, grantedBps: small.rateBps })
      const large = await qnl.setDemand(peer, { ...steady, rateBps: BOUNDLESS_BPS }, patience())
      assert.ok(large.rateBps > small.rateBps && large.rateBps < BOUNDLESS_BPS)
      assert.ok(large.epoch >= small.epoch)
      assert.deepEqual(await standing(), { remoteSiteId: peer, askedBps: BOUNDLESS_BPS, grantedBps: large.rateBps })
      const none = await qnl.setDemand(peer, { ...steady, rateBps: 0 }, patience())
      assert.equal(none.rateBps, 0)
      assert.equal(await standing(), undefined)
    },
  ],
  [
    'withdraws a demand at its deadline',
    async ({ qnls: [qnl], peers: [peer] }) => {
      await qnl.setDemand(peer, { ...steady, kind: 'on-demand', deadlineMs: 1 }, patience())
      const { signal } = patience()
      while ((await qnl.status({ signal })).demands.some(each => each.remoteSiteId === peer)) await turn()
    },
  ],
  [
    'refuses a demand that makes no sense, and keeps the last one',
    async ({ qnls: [qnl], peers: [peer] }) => {
      await qnl.setDemand(peer, steady, patience())
      const senseless: Partial<Record<keyof Demand, unknown>>[] = [
        { rateBps: -1 },
        { rateBps: Number.NaN },
        { rateBps: Number.POSITIVE_INFINITY },
        { weight: 0 },
        { weight: Number.NaN },
        { kind: 'sometimes' },
        { mode: 'none' },
        { deadlineMs: 0 },
        { deadlineMs: 0.5 },
      ]
      for (const field of senseless) {
        const refused = qnl.setDemand(peer, { ...steady, ...field } as Demand, patience())
        await assert.rejects(refused, { code: 'ERR_QKD_INVALID_ARGUMENT' }, JSON.stringify(field))
      }
      const { demands } = await qnl.status(patience())
      assert.equal(demands.find(each => each.remoteSiteId === peer)?.askedBps, steady.rateBps)
    },
  ],
  [
    'serves concurrent callers in the order of their calls',
    async ({ qnls, peers, matcher }) => {
      const takeTwenty = (side: 0 | 1) =>
        Promise.all(Array.from({ length: 20 }, () => qnls[side].nextBlock(peers[side], patience())))
      const blocks = await Promise.all([takeTwenty(0), takeTwenty(1)])
      for (const side of [0, 1] as const) for (const block of blocks[side]) matcher.note(side, block)
      await matcher.level()
    },
  ],
  [
    'consumes nothing when a wait is aborted',
    async ({ qnls, peers, matcher }) => {
      let aborted = 0
      for (let round = 0; round < 200; round += 1) {
        const side = round % 2 === 0 ? 0 : 1
        const controller = new AbortController()
        const { signal } = controller
        // More than a fast network has ready: some of them wait.
        const outcomes = Array.from({ length: 1 + (round % 4) * 4 }, () =>
          qnls[side].nextBlock(peers[side], { signal }).then(
            block => void matcher.note(side, block),
            (error: unknown) => {
              aborted += 1
              assert.equal(error, signal.reason)
            },
          ),
        )
        for (let turns = round % 9; turns > 0; turns -= 1) await turn()
        controller.abort(new Error(`round ${round} is over`))
        await Promise.all(outcomes)
      }
      assert.ok(aborted > 0, 'some waits were aborted')
      await matcher.level()
    },
  ],
  [
    'rejects a call whose signal is aborted already with its reason, and consumes nothing',
    async ({ qnls: [qnl], peers: [peer], matcher }) => {
      const reason = new Error('too late')
      const options = { signal: AbortSignal.abort(reason) }
      await assert.rejects(qnl.nextBlock(peer, options), reason)
      await assert.rejects(qnl.setDemand(peer, { ...steady, rateBps: 77 }, options), reason)
      await assert.rejects(qnl.status(options), reason)
      const { demands } = await qnl.status(patience())
      assert.ok(demands.every(each => each.askedBps !== 77))
      await matcher.match(1)
      await matcher.level()
    },
  ],
  [
    'passes over the numbers that a taker has spent, and goes on above them',
    async ({ qnls, peers, matcher }) => {
      for (const side of [0, 1] as const) {
        const { number } = await matcher.take(side)
        const after = number + 1_000_000n
        const block = await matcher.await(side, qnls[side].nextBlock(peers[side], { ...patience(), after }))
        assert.ok(block.number > after, `block ${block.number} is above ${after}`)
        await matcher.match(3)
        await matcher.realign()
      }
      const [qnl, peer] = [qnls[0], peers[0]]
      for (const after of [-1n, 2n ** 64n]) {
        await assert.rejects(qnl.nextBlock(peer, { ...patience(), after }), { code: 'ERR_QKD_INVALID_ARGUMENT' })
      }
    },
  ],
  [
    'tells that a link is down, that the pair is unserved and that it is restored',
    async ({ qnls: [qnl], peers: [peer], interrupt, restore }) => {
      const { rateBps } = await qnl.setDemand(peer, steady, patience())
      const heard: QnlEvent[] = []
      const stop = qnl.onEvent(event => heard.push(event))
      const deaf: QnlEvent[] = []
      qnl.onEvent(event => deaf.push(event))()
      const [down, unserved] = [eventOf(qnl, 'link-down'), eventOf(qnl, 'pair-unserved')]
      await interrupt()
      assert.equal(typeof (await down).reason, 'string')
      assert.equal((await unserved).remoteSiteId, peer)
      const { demands, links } = await qnl.status(patience())
      assert.equal(demands.find(each => each.remoteSiteId === peer)?.grantedBps, 0)
      assert.ok(links.some(link => link.linkId === heard.find(event => event.type === 'link-down')?.linkId))
      const restored = eventOf(qnl, 'restored')
      await restore()
      assert.deepEqual(await restored, { type: 'restored', remoteSiteId: peer, rateBps })
      stop()
      const types = heard.map(event => event.type)
      assert.ok(types.indexOf('pair-unserved') < types.lastIndexOf('restored'))
      assert.deepEqual(deaf, [])
    },
  ],
  [
    'goes on above every earlier number, with equal bytes, after an interruption',
    async ({ qnls: [qnl], peers: [peer], matcher, interrupt, restore }) => {
      await qnl.setDemand(peer, steady, patience())
      for (let round = 0; round < 3; round += 1) {
        const unserved = eventOf(qnl, 'pair-unserved')
        await interrupt()
        await unserved
        const restored = eventOf(qnl, 'restored')
        await restore()
        await restored
        await matcher.match(10)
      }
      await matcher.realign()
    },
  ],
  [
    'refuses those who wait and all later callers once it is closed, and closes only once',
    async run => {
      const { qnls, peers, interrupt } = run
      const unserved = qnls.map(async (qnl, side) => {
        await qnl.setDemand(peers[side] as string, steady, patience())
        return eventOf(qnl, 'pair-unserved')
      })
      // Both demands stand, and both listeners with them, before the cut.
      await Promise.all(qnls.map(qnl => qnl.status(patience())))
      await interrupt()
      await Promise.all(unserved)
      for (const side of [0, 1] as const) {
        const [qnl, peer] = [qnls[side], peers[side]]
        await drain(run, side)
        const closed = { code: 'ERR_QKD_CLOSED' }
        const waiters = [qnl.nextBlock(peer), qnl.nextBlock(peer)].map(waiter => assert.rejects(waiter, closed))
        await Promise.all([qnl.close(), qnl.close()])
        await Promise.all(waiters)
        await assert.rejects(qnl.nextBlock(peer), closed)
        await assert.rejects(qnl.setDemand(peer, steady), closed)
        await assert.rejects(qnl.status(), closed)
        await assert.rejects(qnl.remoteSiteIds(), closed)
        await qnl.close()
      }
    },
  ],
]

/** Runs the contract of `Qnl` against the QNLs of two sites. */
export function qnlCompliance(setup: TestSetup<QnlFixture>): void {
  runSuite<QnlRun>(
    'Qnl',
    {
      ...setup,
      setup: async () => {
        const fixture = await setup.setup()
        const [a, b] = fixture.qnls
        const peers = [b.siteId, a.siteId] as const
        const matcher = new BlockMatcher<QnlBlock>([
          options => a.nextBlock(peers[0], options),
          options => b.nextBlock(peers[1], options),
        ])
        return { ...fixture, fixture, matcher, peers }
      },
      teardown: ({ fixture }) => setup.teardown(fixture),
    },
    cases,
  )
}
