import { expect } from 'chai'
import type { LinkReport, NodeReport } from '../../../lib/interface/network-node.ts'
import type { Demand } from '../../../lib/interface/qnl.ts'
import { FlapDamper } from '../../../lib/qnl/control/flap-damper.ts'
import { NetworkBoard } from '../../../lib/qnl/control/network-board.ts'
import { planNetwork } from '../../../lib/qnl/planner/plan-network.ts'

const RATE_BPS = 1000
/** What is planned of a link's rate. */
const PLANNED_BPS = 980
const demand: Demand = { rateBps: 500, weight: 1, kind: 'continuous', mode: 'multipath' }

function link(linkId: string, remoteSiteId: string, change: Partial<LinkReport> = {}): LinkReport {
  return { linkId, remoteSiteId, state: 'up', secrecy: 'quantum', rateBps: RATE_BPS, stockBits: 0, ...change }
}

/** The line a - b - c, as all three see it. */
function boardOf(reports: Partial<Record<'a' | 'b' | 'c', Partial<NodeReport>>> = {}) {
  const events: object[] = []
  const board = new NetworkBoard({
    sites: ['a', 'b', 'c'].map(siteId => ({ siteId })),
    emit: event => events.push(event),
  })
  const links = { a: [link('a-b', 'b')], b: [link('a-b', 'a'), link('b-c', 'c')], c: [link('b-c', 'b')] }
  for (const siteId of ['a', 'b', 'c'] as const) {
    board.join(siteId, 0)
    board.report({ siteId, epoch: 0, links: links[siteId], demands: [], ...reports[siteId] }, 0)
  }
  const plan = async (epoch: number, nowMs = 0) => {
    const file = board.file(nowMs)
    board.adopt(await planNetwork(file, { epoch }), file, { nowMs, planMs: 1 })
  }
  return { board, events, plan }
}

describe('NetworkBoard', () => {
  it('tells the end that sorts first alone over which paths to send, and both what is granted', async () => {
    const { board, plan } = boardOf({ c: { demands: [{ remoteSiteId: 'a', demand }] } })
    await plan(7)
    expect(board.nodePlan('a')!.demands).to.have.length(1)
    expect(board.nodePlan('a')!.demands[0]!.paths.map(({ sites }) => sites)).to.deep.equal([['a', 'b', 'c']])
    expect(board.nodePlan('c')!.demands[0]).to.deep.include({ remoteSiteId: 'a', paths: [] })
    expect(board.nodePlan('c')!.demands[0]!.rateBps).to.be.closeTo(500, 1e-6)
    expect(board.nodePlan('b')!).to.deep.equal({ epoch: 7, gap: board.nodePlan('a')!.gap, demands: [] })
  })

  it('takes the worse word of both ends of a link, and no word of others', () => {
    const { board, events } = boardOf({
      c: { links: [link('b-c', 'b', { rateBps: 10 }), link('a-b', 'b'), link('c-x', 'x')] },
    })
    expect(board.links.network()).to.deep.equal([
      { id: 'a-b', a: 'a', b: 'b', rateBps: PLANNED_BPS },
      { id: 'b-c', a: 'b', b: 'c', rateBps: 9.8 },
    ])
    expect(events.filter(event => 'reason' in event)).to.have.length(2)
  })

  it('cuts the paths over a dead link out of the plan before there is a new one', async () => {
    const { board, plan } = boardOf({ a: { demands: [{ remoteSiteId: 'c', demand }] } })
    await plan(1)
    const down = { siteId: 'c', epoch: 1, links: [link('b-c', 'b', { state: 'down' })], demands: [] }
    expect(board.report(down, 5)).to.equal('topology')
    expect(board.cutDeadPaths()).to.deep.equal(['a c'])
    board.renumber(2)
    expect(board.nodePlan('a')).to.deep.include({ epoch: 2 })
    expect(board.nodePlan('a')!.demands[0]).to.deep.include({ rateBps: 0, paths: [], reason: 'b-c is down' })
    expect(board.cutDeadPaths()).to.deep.equal([])
  })

  it('serves a demand between two plans from what is free, in part where that is all', async () => {
    const { board, plan } = boardOf({ a: { demands: [{ remoteSiteId: 'b', demand: { ...demand, rateBps: 700 } }] } })
    await plan(1)
    board.report({ siteId: 'c', epoch: 1, links: [link('b-c', 'b')], demands: [{ remoteSiteId: 'a', demand }] }, 1)
    expect(board.serveBetweenPlans(1)).to.deep.equal(['a c'])
    expect(board.nodePlan('c')!.demands[0]!.rateBps).to.be.closeTo(280, 1e-6)
    expect(board.serveBetweenPlans(2)).to.deep.equal([])
  })

  it('plans the pools that cross a link higher while it is about to be drained, and then without it', async () => {
    const both = [
      { remoteSiteId: 'c', demand: { ...demand, rateBps: 2000 } },
      { remoteSiteId: 'b', demand: { ...demand, rateBps: 2000 } },
    ]
    const { board, plan } = boardOf({ a: { demands: both } })
    await plan(1)
    board.drain(['b-c'], { nowMs: 0, fillMs: 100 })
    await plan(2)
    expect(board.nodePlan('c')!.demands[0]!.rateBps).to.be.closeTo(0.8 * PLANNED_BPS, 1)
    expect(board.refresh(100)).to.equal(true)
    await plan(3, 100)
    expect(board.nodePlan('c')!.demands[0]!.rateBps).to.equal(0)
    expect(board.nodePlan('b')!.demands[0]!.rateBps).to.be.closeTo(PLANNED_BPS, 1)
  })

  it('ends the filling before its time once both sides of every pool that crosses say that it is full', async () => {
    const level = (stockBits: number) => ({ ...demand, pool: { stockBits, targetBits: 4_000_000 } })
    const ask = (siteId: 'a' | 'c', stockBits: number, nowMs: number) => {
      const other = siteId === 'a' ? 'c' : 'a'
      const links = siteId === 'a' ? [link('a-b', 'b')] : [link('b-c', 'b')]
      board.report({ siteId, epoch: 1, links, demands: [{ remoteSiteId: other, demand: level(stockBits) }] }, nowMs)
    }
    const { board, events, plan } = boardOf()
    ask('a', 1_000_000, 0)
    ask('c', 3_900_000, 0)
    await plan(1)
    board.drain(['b-c'], { nowMs: 0, fillMs: 60_000 })
    // Three millions are missing, and half a minute must do.
    const filling = board.file(0).demands[0]!
    expect([filling.rateBps, filling.limitBps]).to.deep.equal([100_000, 100_000])
    expect(board.status('c', 1000).links[1]).to.deep.include({
      drain: 'filling',
      filling: { pairs: 1, full: 0, leftMs: 59_000 },
    })
    ask('a', 3_700_000, 2000)
    expect(board.refresh(2000)).to.equal(false)
    expect(events).to.deep.include({ type: 'drain', linkId: 'b-c', state: 'drained', filled: true })
    expect(board.status('c', 2000).links[1]).to.include({ drain: 'drained', filled: true })
    expect(board.file(2000).links[1]).to.include({ id: 'b-c', rateBps: 0 })
  })

  it('does not end the filling while it has no plan that says who crosses the link', async () => {
    const pool = { stockBits: 0, targetBits: 10_000_000 }
    const { board, plan } = boardOf({ a: { demands: [{ remoteSiteId: 'c', demand: { ...demand, pool } }] } })
    board.drain(['b-c'], { nowMs: 0, fillMs: 60_000 })
    expect(board.status('c', 1).links[1]!.drain).to.equal('filling')
    await plan(1)
    board.refresh(1000)
    expect(board.status('c', 1000).links[1]!.filling).to.deep.include({ pairs: 1, full: 0 })
  })

  it('waits its time for a pool whose KMS does not say how full it is', async () => {
    const { board, plan } = boardOf({ a: { demands: [{ remoteSiteId: 'c', demand }] } })
    await plan(1)
    board.drain(['b-c'], { nowMs: 0, fillMs: 1000 })
    expect(board.refresh(999)).to.equal(false)
    expect(board.status('c', 999).links[1]!.drain).to.equal('filling')
    expect(board.refresh(1000)).to.equal(true)
    expect(board.status('c', 1000).links[1]).to.include({ drain: 'drained', filled: false })
  })

  it('plans for all the others whatever one site asks for', async () => {
    const most = { rateBps: 1e15, weight: 1e6, pool: { stockBits: 0, targetBits: 1e15 } }
    const ask = (change: Partial<Demand>) => ({ remoteSiteId: 'c', demand: { ...demand, ...change } })
    for (const change of [
      most,
      { rateBps: 5e-324, weight: 5e-324 },
      { kind: 'on-demand' as const, deadlineMs: 2 ** 53 - 1 },
    ]) {
      const { board, plan } = boardOf({
        a: { demands: [ask(change)] },
        b: { demands: [{ remoteSiteId: 'c', demand }], links: [link('a-b', 'a'), link('b-c', 'c')] },
      })
      await plan(1)
      board.drain(['b-c'], { nowMs: 0, fillMs: 1 })
      await plan(2)
      const { lambda, pairs } = board.status('c1', 0)
      expect(lambda).to.be.above(0).and.below(Number.POSITIVE_INFINITY)
      expect(pairs.find(({ a, b }) => a === 'b' && b === 'c')!.grantedBps).to.be.above(0)
    }
  })

  it('goes on with what a node said that is away, for half a minute', () => {
    const { board } = boardOf({ a: { demands: [{ remoteSiteId: 'c', demand }] } })
    board.leave('a', 1000)
    board.refresh(30_000)
    expect(board.file(30_000).demands).to.have.length(1)
    board.refresh(31_000)
    expect(board.file(31_000).demands).to.have.length(0)
    // The other end still speaks for the link.
    expect(board.file(31_000).links).to.have.length(2)
  })
})

describe('FlapDamper', () => {
  it('keeps a link out that goes down three times in short order, until it has been quiet', () => {
    const damper = new FlapDamper()
    for (const atMs of [0, 1000]) damper.down(atMs)
    expect(damper.suppressed(1000)).to.equal(false)
    damper.down(2000)
    expect(damper.suppressed(2000)).to.equal(true)
    expect(damper.suppressed(20_000)).to.equal(true)
    expect(damper.suppressed(30_000)).to.equal(false)
  })

  it('never minds a link that goes down once a minute', () => {
    const damper = new FlapDamper()
    for (let atMs = 0; atMs < 3_600_000; atMs += 60_000) {
      damper.down(atMs)
      expect(damper.suppressed(atMs)).to.equal(false)
    }
  })
})
