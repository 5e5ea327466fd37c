import { expect } from 'chai'
import fc from 'fast-check'
import type { PolicyFile, PolicyRule } from '../../../lib/interface/policy.ts'
import { Policy, type PolicyQuestion } from '../../../lib/kms/policy/policy.ts'
import { findUnreachableRules } from '../../../lib/kms/policy/unreachable-rules.ts'
import { WeekWindow } from '../../../lib/kms/policy/week-window.ts'

const groups = { backup: { saes: ['b1', 'b2'] }, labs: { saes: ['lab-*'] }, nobody: { saes: [] } }
const saeIds = ['b1', 'b2', 'lab-1', 'lab-2', 'alice']
const patterns = [...saeIds, '*', 'lab-*', 'b*', '@backup', '@labs', '@nobody']
const sites = ['east', 'west']

/** Monday 2026-11-23, 12:00 UTC, and half a day later: in and out of the window below. */
const moments = [Date.UTC(2026, 10, 23, 12), Date.UTC(2026, 10, 24, 0)]
const daytime = { from: '08:00', to: '18:00' }

const subset = (names: string[]) =>
  fc.option(fc.subarray(names, { minLength: 1, maxLength: Math.min(3, names.length) }), { nil: undefined })

const rule = fc.record({
  deny: fc.boolean(),
  match: fc.record({
    master: subset(patterns),
    slave: subset(patterns),
    peerSite: subset(sites),
    integration: subset(['tls', 'kerberos']),
    time: fc.constantFrom(undefined, undefined, daytime),
  }),
})

const policyFile = fc.array(rule, { maxLength: 70 }).map(
  (rules): PolicyFile => ({
    groups,
    otherwise: 'deny',
    rules: rules.map((body, at) => ({ name: `rule ${at}`, ...body }) as PolicyRule),
  }),
)

const questions: PolicyQuestion[] = saeIds.flatMap(masterSaeId =>
  saeIds.flatMap(slaveSaeId =>
    sites.flatMap(peerSiteId =>
      ['tls', 'kerberos', undefined].flatMap(integration =>
        moments.map(atMs => ({ masterSaeId, slaveSaeId, peerSiteId, integration, atMs })),
      ),
    ),
  ),
)

/** What the rules say, read one after the other. */
function firstMatch(file: PolicyFile, question: PolicyQuestion): string {
  const named = (names: readonly string[] | undefined, saeId: string) =>
    names === undefined ||
    names.some(name => {
      const members = name.startsWith('@') ? groups[name.slice(1) as keyof typeof groups].saes : [name]
      return members.some(member => (member.endsWith('*') ? saeId.startsWith(member.slice(0, -1)) : member === saeId))
    })
  const found = file.rules.find(
    ({ match = {} }) =>
      named(match.master, question.masterSaeId) &&
      named(match.slave, question.slaveSaeId) &&
      (match.peerSite?.includes(question.peerSiteId) ?? true) &&
      (match.integration === undefined || match.integration.includes(question.integration ?? '')) &&
      (match.time === undefined || question.atMs === moments[0]),
  )
  return found?.name ?? 'otherwise'
}

describe('Policy', () => {
  it('decides as its rules read one after the other', () => {
    fc.assert(
      fc.property(policyFile, file => {
        const policy = new Policy(file)
        for (const question of questions) {
          expect(policy.decide(question).ruleName).to.equal(firstMatch(file, question))
        }
      }),
      { numRuns: 60 },
    )
  })

  it('gives the terms of the rule over the defaults', () => {
    const policy = new Policy({
      defaults: { levels: ['quantum'], priority: 2 },
      rules: [{ name: 'a', match: { master: ['alice'] }, priority: 9 }],
      otherwise: 'allow',
    })
    const [question] = questions
    expect(policy.decide({ ...question!, masterSaeId: 'alice' }).terms).to.deep.equal({
      levels: ['quantum'],
      priority: 9,
    })
    expect(policy.decide({ ...question!, masterSaeId: 'b1' })).to.deep.equal({
      allowed: true,
      ruleNumber: undefined,
      ruleName: 'otherwise',
      terms: { levels: ['quantum'], priority: 2 },
    })
  })

  it('says which conditions a rule misses', () => {
    const match = { master: ['alice'], peerSite: ['east'], time: daytime }
    const policy = new Policy({ rules: [{ name: 'a', match }], otherwise: 'deny' })
    const question = { masterSaeId: 'alice', slaveSaeId: 'b1', peerSiteId: 'west', atMs: moments[1]! }
    expect(policy.missedConditions(0, question)).to.deep.equal(['peerSite', 'time'])
    expect(policy.missedConditions(0, { ...question, peerSiteId: 'east', atMs: moments[0]! })).to.deep.equal([])
  })
})

describe('findUnreachableRules', () => {
  it('finds a rule whose hosts earlier rules take one by one', () => {
    const policy = new Policy({
      groups,
      rules: [
        { name: 'first', match: { master: ['b1'] } },
        { name: 'sometimes', match: { master: ['b2'], time: daytime } },
        { name: 'second', match: { master: ['b*'], slave: ['alice'] } },
        { name: 'reached', match: { master: ['@backup'] } },
        { name: 'taken', match: { master: ['@backup'], slave: ['alice'] } },
        { name: 'of nobody', match: { master: ['@nobody'] } },
        { name: 'all' },
        { name: 'after all', match: { integration: ['tls'] } },
      ],
      otherwise: 'deny',
    })
    expect(findUnreachableRules(policy)).to.deep.equal([
      { ruleNumber: 4, takenBy: [0, 2] },
      { ruleNumber: 5, takenBy: [] },
      { ruleNumber: 7, takenBy: [6] },
    ])
  })

  it('knows hours that leave nothing of the week out', () => {
    const windows = [{ from: '00:00', to: '24:00' }, { from: '06:00', to: '06:00' }, { days: ['mon'] as const }]
    for (const [at, time] of windows.entries()) {
      const policy = new Policy({ rules: [{ name: 'hours', match: { time } }, { name: 'rest' }], otherwise: 'deny' })
      expect(findUnreachableRules(policy)).to.deep.equal(at === 2 ? [] : [{ ruleNumber: 1, takenBy: [0] }])
    }
  })

  it('never names a rule that decides something', () => {
    fc.assert(
      fc.property(policyFile, file => {
        const unreachable = new Set(
          findUnreachableRules(new Policy(file)).map(({ ruleNumber }) => `rule ${ruleNumber}`),
        )
        for (const question of questions) expect(unreachable.has(firstMatch(file, question))).to.equal(false)
      }),
      { numRuns: 60 },
    )
  })
})

describe('WeekWindow', () => {
  const at = (text: string) => Date.parse(text)

  it('runs past midnight from the day on which it began', () => {
    const window = new WeekWindow({ days: ['sun'], from: '22:00', to: '06:00' })
    expect(window.includes(at('2026-11-22T21:59Z'))).to.equal(false)
    expect(window.includes(at('2026-11-22T22:00Z'))).to.equal(true)
    expect(window.includes(at('2026-11-23T05:59Z'))).to.equal(true)
    expect(window.includes(at('2026-11-23T06:00Z'))).to.equal(false)
    expect(window.includes(at('2026-11-22T05:00Z'))).to.equal(false)
  })

  it('counts from the offset that it gives', () => {
    const window = new WeekWindow({ days: ['mon'], utcOffset: '+05:30' })
    expect(window.includes(at('2026-11-22T18:29Z'))).to.equal(false)
    expect(window.includes(at('2026-11-22T18:30Z'))).to.equal(true)
    expect(window.includes(at('2026-11-23T18:29Z'))).to.equal(true)
    expect(window.includes(at('2026-11-23T18:30Z'))).to.equal(false)
  })
})
