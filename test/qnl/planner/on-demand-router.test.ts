import { expect } from 'chai'
import { InvalidArgumentError, NoRouteError } from '../../../lib/errors.ts'
import { OnDemandRouter } from '../../../lib/qnl/planner/on-demand-router.ts'
import { planNetwork } from '../../../lib/qnl/planner/plan-network.ts'

const nodes = [...'abcde'].map(id => ({ id }))
const links = ['ac:10', 'cb:10', 'ad:30', 'db:30', 'ae:90', 'ed:90'].map(word => {
  const [id, rate] = word.split(':') as [string, string]
  return { id, a: id[0]!, b: id[1]!, rateBps: Number(rate) }
})
const ab = { a: 'a', b: 'b' }

async function createRouter({ modules, planned = 0 }: { modules?: number; planned?: number } = {}) {
  const file = {
    nodes: nodes.map(node => (node.id === 'd' && modules !== undefined ? { ...node, modules } : node)),
    links,
    demands: planned === 0 ? [] : [{ id: 'p', ...ab, rateBps: planned, limitBps: planned, mode: 'single' as const }],
  }
  return new OnDemandRouter(file, await planNetwork(file))
}

const pathsOf = ({ paths }: ReturnType<OnDemandRouter['grant']>) =>
  paths.map(path => `${path.nodes.join('')} ${path.rateBps}`)

describe('OnDemandRouter', () => {
  it('takes the widest of the shortest paths with room for all', async () => {
    const router = await createRouter()
    expect(pathsOf(router.grant({ ...ab, rateBps: 5 }))).to.deep.equal(['adb 5'])
    expect(pathsOf(router.grant({ a: 'b', b: 'a', rateBps: 20 }))).to.deep.equal(['bda 20'])
    expect(pathsOf(router.grant({ ...ab, rateBps: 5 }))).to.deep.equal(['acb 5'])
  })

  it('takes a longer path where the shorter ones have no room', async () => {
    const router = await createRouter()
    router.grant({ a: 'a', b: 'd', rateBps: 30 })
    expect(pathsOf(router.grant({ ...ab, rateBps: 20 }))).to.deep.equal(['aedb 20'])
  })

  it('leaves the plan what the plan has', async () => {
    const router = await createRouter({ planned: 25 })
    expect(pathsOf(router.grant({ ...ab, rateBps: 8, mode: 'single' }))).to.deep.equal(['acb 8'])
  })

  it('spreads over paths what no single one takes, in multipath mode only', async () => {
    expect(pathsOf((await createRouter()).grant({ ...ab, rateBps: 38 }))).to.deep.equal(['adb 30', 'acb 8'])
    expect(pathsOf((await createRouter()).grant({ ...ab, rateBps: 38, mode: 'single' }))).to.deep.equal(['adb 30'])
  })

  it('grants a part where there is no more, and then refuses', async () => {
    const router = await createRouter()
    expect(router.grant({ ...ab, rateBps: 100 }).rateBps).to.be.closeTo(40, 1e-9)
    expect(() => router.grant({ ...ab, rateBps: 1 })).to.throw(NoRouteError, /No path between "a" and "b" has room/)
  })

  it('gets back what is released, once', async () => {
    const router = await createRouter()
    const grant = router.grant({ ...ab, rateBps: 40 })
    router.release(grant)
    router.release(grant)
    expect(router.grant({ ...ab, rateBps: 100 }).rateBps).to.be.closeTo(40, 1e-9)
  })

  it('sets aside paths that meet in no relay for split requests', async () => {
    const router = await createRouter()
    const { rateBps, paths } = router.grant({ ...ab, rateBps: 15, mode: 'split' })
    expect(rateBps).to.equal(10)
    expect(paths.map(path => [path.nodes.join(''), path.rateBps, path.set])).to.have.deep.members([
      ['acb', 10, 0],
      ['adb', 10, 0],
    ])
    expect(() => router.grant({ ...ab, rateBps: 1, mode: 'split' })).to.throw(NoRouteError, /disjoint/)
    expect(pathsOf(router.grant({ a: 'e', b: 'd', rateBps: 80, mode: 'split', shares: 3 }))).to.deep.equal(['ed 80'])
  })

  it('counts the time of a switched relay for both links', async () => {
    const router = await createRouter({ modules: 1 })
    expect(pathsOf(router.grant({ ...ab, rateBps: 30, mode: 'single' }))).to.deep.equal(['adb 15'])
  })

  it('refuses requests that cannot be, and names the field', async () => {
    const router = await createRouter()
    for (const [request, message] of [
      [{ a: 'x', b: 'b', rateBps: 1 }, /^a: no node/],
      [{ a: 'a', b: 'x', rateBps: 1 }, /^b: no node/],
      [{ a: 'a', b: 'a', rateBps: 1 }, /^b must differ/],
      [{ ...ab, rateBps: 0 }, /^rateBps/],
      [{ ...ab, rateBps: Number.NaN }, /^rateBps/],
      [{ ...ab, rateBps: 1, mode: 'split', shares: 1 }, /^shares/],
    ] as const) {
      expect(() => router.grant(request)).to.throw(InvalidArgumentError, message)
    }
  })
})
