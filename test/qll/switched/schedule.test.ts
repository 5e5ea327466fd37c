import { expect } from 'chai'
import fc from 'fast-check'
import { planSchedule, type SwitchSchedule, stateAt } from '../../../lib/qll/switched/schedule.ts'
import {
  cutIntoMatchings,
  modulesBySite,
  type SharedLink,
  type SwitchedSite,
} from '../../../lib/qll/switched/time-shares.ts'

const link = (a: string, b: string, timeShare: number): SharedLink => ({ id: `${a}-${b}`, a, b, timeShare })
const length = (matchings: readonly { share: number }[]) => matchings.reduce((sum, { share }) => sum + share, 0)

/** Every fault of a schedule: modules or ports used twice at once, unknown modules, time that does not add up. */
function scheduleFaults(schedule: SwitchSchedule, sites: readonly SwitchedSite[]): string[] {
  const faults: string[] = []
  let atMs = 0
  for (const { fromMs, untilMs, turns } of schedule.slots) {
    if (fromMs < atMs - 1e-6 || untilMs <= fromMs) faults.push(`slot at ${fromMs}`)
    atMs = untilMs
    const used = turns.flatMap(({ ends }) =>
      ends.flatMap(end => [`${end.siteId} m${end.module}`, `${end.siteId} p${end.port}`]),
    )
    if (new Set(used).size !== used.length) faults.push(`used twice at ${fromMs}: ${used}`)
    for (const { siteId, module } of turns.flatMap(({ ends }) => ends)) {
      const modules = sites.find(({ id }) => id === siteId)!.modules ?? Number.POSITIVE_INFINITY
      if (module >= modules) faults.push(`module ${module} of ${siteId}, which has ${modules}`)
    }
  }
  if (atMs > schedule.periodMs + 1e-6) faults.push(`${atMs} ms are beyond the period`)
  return faults
}

describe('cutIntoMatchings', () => {
  const cut = (sites: SwitchedSite[], links: SharedLink[]) => cutIntoMatchings(modulesBySite(sites, links), links)

  it('needs no more than the busiest site, between senders and receivers', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 5 }),
        fc.array(fc.tuple(fc.nat(3), fc.nat(3), fc.double({ min: 0.01, max: 1, noNaN: true })), {
          minLength: 1,
          maxLength: 12,
        }),
        (modules, edges) => {
          const sites = ['s0', 's1', 's2', 's3', 'r0', 'r1', 'r2', 'r3'].map((id, at) => ({
            id,
            modules: 1 + ((at * modules) % 3),
          }))
          const links = [
            ...new Map(edges.map(([s, r, share]) => [`${s} ${r}`, link(`s${s}`, `r${r}`, share)])).values(),
          ]
          const matchings = cut(sites, links)
          const load = ({ id, modules: count }: SwitchedSite) =>
            links.filter(({ a, b }) => a === id || b === id).reduce((sum, { timeShare }) => sum + timeShare, 0) / count!
          const busiest = Math.max(...sites.map(load), ...links.map(({ timeShare }) => timeShare))
          expect(length(matchings)).to.be.closeTo(busiest, 1e-6)
          for (const { id, timeShare } of links) {
            const given = length(matchings.filter(({ links: set }) => set.some(one => one.id === id)))
            expect(given).to.be.closeTo(timeShare, 1e-6)
          }
          for (const { links: set } of matchings) {
            for (const site of sites) {
              expect(set.filter(({ a, b }) => a === site.id || b === site.id).length).to.be.at.most(site.modules)
            }
          }
        },
      ),
      { numRuns: 200 },
    )
  })

  it('needs half as long again in a triangle of single modules, where only one link runs at a time', () => {
    const sites = ['a', 'b', 'c'].map(id => ({ id, modules: 1 }))
    expect(length(cut(sites, [link('a', 'b', 0.5), link('b', 'c', 0.5), link('a', 'c', 0.5)]))).to.be.closeTo(1.5, 1e-9)
  })

  it('lets a site without a limit run all its links at once', () => {
    const matchings = cut(
      [{ id: 'a' }, { id: 'b' }, { id: 'c' }],
      [link('a', 'b', 1), link('a', 'c', 1), link('b', 'c', 1)],
    )
    expect(matchings).to.have.length(1)
    expect(matchings[0]!.share).to.equal(1)
  })
})

describe('planSchedule', () => {
  const hub = [{ id: 'hub', modules: 1 }, { id: 'x' }, { id: 'y' }, { id: 'z' }]
  const star = [link('hub', 'x', 0.5), link('hub', 'y', 0.3), link('hub', 'z', 0.1)]

  it('gives each link its share in light where there is time for switching', () => {
    const schedule = planSchedule({ sites: hub, links: star, switchingMs: 200 })
    expect(scheduleFaults(schedule, hub)).to.deep.equal([])
    for (const { id, timeShare } of star) expect(schedule.lightShares.get(id)).to.be.closeTo(timeShare, 1e-3)
  })

  it('stays within its tolerance where all time is taken, by a longer period', () => {
    const full = [link('hub', 'x', 0.6), link('hub', 'y', 0.3), link('hub', 'z', 0.1)]
    const schedule = planSchedule({ sites: hub, links: full, switchingMs: 200, tolerance: 0.01 })
    expect(scheduleFaults(schedule, hub)).to.deep.equal([])
    for (const { id, timeShare } of full) {
      expect(schedule.lightShares.get(id)! / timeShare).to.be.within(0.99, 1.01)
    }
    expect(schedule.periodMs).to.be.above(10_000)
  })

  it('says how much of the shares can be had where they cannot', () => {
    const sites = ['a', 'b', 'c'].map(id => ({ id, modules: 1 }))
    const links = [link('a', 'b', 0.5), link('b', 'c', 0.5), link('a', 'c', 0.5)]
    expect(() => planSchedule({ sites, links, switchingMs: 10 })).to.throw(
      /need 150\.0 % of the time.*scale them by 0\.667/,
    )
    expect(() => planSchedule({ sites: hub, links: star, switchingMs: 500, periodMs: 1000 })).to.throw(/too short/)
    expect(() => planSchedule({ sites: hub, links: [link('hub', 'who', 0.1)], switchingMs: 1 })).to.throw(
      /must join two of the sites/,
    )
    expect(() => planSchedule({ sites: hub, links: [link('hub', 'x', 1.1)], switchingMs: 1 })).to.throw(/from 0 to 1/)
  })

  it('does not switch what goes on', () => {
    const sites = [{ id: 'a', modules: 2 }, { id: 'b' }, { id: 'c' }, { id: 'd' }]
    const links = [link('a', 'b', 1), link('a', 'c', 0.5), link('a', 'd', 0.4)]
    const schedule = planSchedule({ sites, links, switchingMs: 100 })
    // Once in the period, or never, but not at each of the other two's turns.
    expect(schedule.lightShares.get('a-b')).to.be.at.least(0.99)
    const modules = schedule.slots.flatMap(({ turns }) =>
      turns.filter(one => one.linkId === 'a-b').map(one => one.ends[0].module),
    )
    expect(new Set(modules).size).to.equal(1)
  })
})

describe('stateAt', () => {
  it('has no light while the switch turns, and says until when', () => {
    const sites = [{ id: 'a', modules: 1 }, { id: 'b' }, { id: 'c' }]
    const schedule = planSchedule({
      sites,
      links: [link('a', 'b', 0.5), link('a', 'c', 0.4)],
      switchingMs: 50,
      periodMs: 10_000,
    })
    const [first] = schedule.slots
    const base = 7 * schedule.periodMs
    expect(stateAt(schedule, base + 10)).to.deep.include({ untilMs: base + 50 })
    expect(stateAt(schedule, base + 10).turns[0]).to.include({ lit: false })
    expect(stateAt(schedule, base + 50).turns[0]).to.include({ lit: true })
    expect(stateAt(schedule, base + 50).untilMs).to.equal(base + first!.untilMs)
    expect(stateAt(schedule, base + 9_999.9)).to.deep.equal({ turns: [], untilMs: base + 10_000 })
  })
})
