import assert from 'node:assert/strict'
import { setImmediate as turn } from 'node:timers/promises'
import type { Link, LinkBlock, LinkStatus } from '../../lib/interface/link.ts'
import { BlockMatcher } from './block-matcher.ts'
import { statusOf } from './link-status.ts'
import { type ComplianceCase, runSuite, type TestSetup } from './suite.ts'

/** Both ends of one link, and the power to cut it. */
export interface LinkFixture {
  readonly ends: readonly [Link, Link]
  /** Cuts the link between the ends; they notice by themselves. */
  interrupt(): Promise<void>
  /** Mends it; they come up again by themselves. */
  restore(): Promise<void>
}

/** A fixture, and what its blocks were so far. */
interface LinkRun extends LinkFixture {
  readonly fixture: LinkFixture
  readonly matcher: BlockMatcher<LinkBlock>
}

/** Key that an end may give while the other one takes nothing, in bits. */
const MAX_LEAD_BITS = 64 * 1024 * 1024 * 8
/** After this time without a block an end counts as stopped, in milliseconds. */
const IDLE_MS = 400
const PATIENCE_MS = 8000

const isUp = (status: LinkStatus) => status.state === 'up'
const isDown = (status: LinkStatus) => status.state === 'down'

const cases: ComplianceCase<LinkRun>[] = [
  [
    'describes one link from both ends',
    async ({ ends: [a, b] }) => {
      const [atA, atB] = [await statusOf(a, isUp), await statusOf(b, isUp)]
      assert.equal(atA.linkId, a.linkId)
      assert.equal(atB.linkId, a.linkId)
      assert.deepEqual([atA.localSiteId, atA.remoteSiteId], [a.localSiteId, a.remoteSiteId])
      assert.deepEqual([atB.localSiteId, atB.remoteSiteId], [a.remoteSiteId, a.localSiteId])
      assert.equal(atA.kind, atB.kind)
      assert.equal(atA.simulated, atB.simulated)
      assert.equal(atA.secrecy, atB.secrecy)
      assert.ok(['quantum', 'computational', 'none'].includes(atA.secrecy))
      assert.equal(atA.blockSizeBytes, atB.blockSizeBytes)
      assert.equal(atA.reason, undefined)
      assert.ok(atA.rateBps > 0)
      assert.ok(atA.qber === undefined || (atA.qber >= 0 && atA.qber <= 0.5))
    },
  ],
  [
    'gives both ends the same bytes under the same number, once and in ascending order',
    async ({ ends: [a], matcher }) => {
      const block = await matcher.take(0)
      assert.equal(block.secret.sizeBytes, a.status().blockSizeBytes)
      await matcher.match(20)
      await matcher.level()
    },
  ],
  [
    'serves concurrent callers in the order of their calls',
    async ({ ends, matcher }) => {
      const takeTwenty = (end: Link) =>
        Promise.all(Array.from({ length: 20 }, () => end.nextBlock({ signal: AbortSignal.timeout(PATIENCE_MS) })))
      const [atA, atB] = await Promise.all([takeTwenty(ends[0]), takeTwenty(ends[1])])
      for (const block of atA) matcher.note(0, block)
      for (const block of atB) matcher.note(1, block)
      await matcher.level()
    },
  ],
  [
    'consumes nothing when a wait is aborted',
    async ({ ends, matcher }) => {
      let aborted = 0
      for (let round = 0; round < 200; round += 1) {
        const side = round % 2 === 0 ? 0 : 1
        const controller = new AbortController()
        const outcome = ends[side].nextBlock({ signal: controller.signal }).then(
          block => void matcher.note(side, block),
          (error: unknown) => {
            aborted += 1
            assert.equal(error, controller.signal.reason)
          },
        )
        for (let turns = round % 7; turns > 0; turns -= 1) await turn()
        controller.abort(new Error(`round ${round} is over`))
        await outcome
      }
      assert.ok(aborted > 0, 'some waits were aborted')
      await matcher.level()
    },
  ],
  [
    'rejects a call whose signal is aborted already with its reason, and consumes nothing',
    async ({ ends, matcher }) => {
      const reason = new Error('too late')
      for (const end of ends) await assert.rejects(end.nextBlock({ signal: AbortSignal.abort(reason) }), reason)
      await matcher.match(1)
      await matcher.level()
    },
  ],
  [
    'passes over the numbers that a taker has spent, and goes on above them',
    async ({ ends, matcher }) => {
      for (const side of [0, 1] as const) {
        const signal = AbortSignal.timeout(PATIENCE_MS)
        const { number } = await matcher.take(side)
        const after = number + 1_000_000n
        const block = await matcher.await(side, ends[side].nextBlock({ signal, after }))
        assert.ok(block.number > after, `block ${block.number} is above ${after}`)
        await matcher.match(3)
        await matcher.realign()
      }
    },
  ],
  [
    'stops at one end while the other takes nothing, and goes on when it does',
    async ({ ends, matcher }) => {
      for (const side of [0, 1] as const) {
        const [busy, idle] = [ends[side], side === 0 ? 1 : 0] as const
        let leadBits = 0
        while (await takeWithin(busy, IDLE_MS, block => matcher.note(side, block))) {
          leadBits += busy.status().blockSizeBytes * 8
          assert.ok(leadBits < MAX_LEAD_BITS, `an end that runs ${leadBits} bits ahead does not stop`)
        }
        assert.equal(busy.status().bufferedBits, 0)
        const stock = ends[idle].status().bufferedBits
        assert.ok(stock > 0 && stock < MAX_LEAD_BITS, `${stock} bits wait at the other end`)
        let served = false
        const next = busy.nextBlock({ signal: AbortSignal.timeout(PATIENCE_MS) }).then(block => {
          served = true
          matcher.note(side, block)
        })
        while (!served && ends[idle].status().bufferedBits > 0) await matcher.take(idle)
        await next
      }
      await matcher.level()
    },
  ],
  [
    'tells its listeners that the link goes down, why, and that it is up again',
    async ({ ends: [a, b], interrupt, restore }) => {
      const seen: LinkStatus[] = []
      const stop = a.onStatus(status => seen.push(status))
      const deaf: LinkStatus[] = []
      a.onStatus(status => deaf.push(status))()
      await interrupt()
      for (const end of [a, b]) {
        const down = await statusOf(end, isDown)
        assert.equal(typeof down.reason, 'string')
        assert.equal(down.rateBps, 0)
      }
      await restore()
      for (const end of [a, b]) await statusOf(end, isUp)
      const states = seen.map(status => status.state)
      assert.ok(states.includes('down'))
      assert.equal(states.at(-1), 'up')
      assert.deepEqual(deaf, [])
      stop()
    },
  ],
  [
    'goes on above every earlier number, with equal bytes, after an interruption',
    async ({ ends: [a, b], matcher, interrupt, restore }) => {
      for (let round = 0; round < 5; round += 1) {
        await matcher.match(round)
        await interrupt()
        for (const end of [a, b]) await statusOf(end, isDown)
        await restore()
        for (const end of [a, b]) await statusOf(end, isUp)
      }
      await matcher.match(200)
      await matcher.realign()
    },
  ],
  [
    'gives what it holds while the link is down, and waits when it holds no more',
    async ({ ends, matcher, interrupt, restore }) => {
      await interrupt()
      for (const end of ends) await statusOf(end, isDown)
      for (const side of [0, 1] as const) {
        while (ends[side].status().bufferedBits > 0) await matcher.take(side)
        assert.equal(await takeWithin(ends[side], IDLE_MS, block => matcher.note(side, block)), false)
      }
      await restore()
      for (const end of ends) await statusOf(end, isUp)
      await matcher.match(5)
      await matcher.realign()
    },
  ],
  [
    'refuses those who wait and all later callers once it is closed, and closes only once',
    async ({ ends: [a, b], matcher, interrupt }) => {
      await interrupt()
      for (const [side, end] of [a, b].entries()) {
        await statusOf(end, isDown)
        while (end.status().bufferedBits > 0) await matcher.take(side as 0 | 1)
        const waiters = [end.nextBlock(), end.nextBlock()].map(waiter =>
          assert.rejects(waiter, { code: 'ERR_QKD_CLOSED' }),
        )
        await Promise.all([end.close(), end.close()])
        await Promise.all(waiters)
        await assert.rejects(end.nextBlock(), { code: 'ERR_QKD_CLOSED' })
        await end.close()
        assert.equal(end.status().state, 'down')
        assert.equal(end.status().bufferedBits, 0)
      }
    },
  ],
]

/** Takes a block if one comes within the time. */
async function takeWithin(link: Link, waitMs: number, use: (block: LinkBlock) => void): Promise<boolean> {
  const signal = AbortSignal.timeout(waitMs)
  try {
    use(await link.nextBlock({ signal }))
    return true
  } catch (error) {
    if (error === signal.reason) return false
    throw error
  }
}

/** Runs the contract of `Link` against two ends. */
export function linkCompliance(setup: TestSetup<LinkFixture>): void {
  runSuite<LinkRun>(
    'Link',
    {
      ...setup,
      setup: async () => {
        const fixture = await setup.setup()
        const [a, b] = fixture.ends
        const matcher = new BlockMatcher([options => a.nextBlock(options), options => b.nextBlock(options)])
        return { ...fixture, fixture, matcher }
      },
      teardown: ({ fixture }) => setup.teardown(fixture),
    },
    cases,
  )
}
