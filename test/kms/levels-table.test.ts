import { expect } from 'chai'
import { QkdError } from '../../lib/errors.ts'
import type { Key, SecurityLevel } from '../../lib/interface/kms.ts'
import type { LowPoolResponse, PolicyFile, PolicyRule } from '../../lib/interface/policy.ts'
import { CuttableSites, type WatchedSite } from '../helpers/cuttable-sites.ts'
import { until } from '../helpers/until.ts'

const LEVELS: readonly SecurityLevel[] = ['one-time-pad', 'quantum', 'hybrid', 'expanded', 'post-quantum']
const RESPONSES: readonly LowPoolResponse[] = ['wait', 'expand', 'post-quantum', 'refuse']
/** `low`: what is left is held in reserve. `link lost`: the fibre is cut, and the KMSs do not reach each other. */
const STATES = ['full', 'low', 'empty', 'refilled in the middle of a wait', 'link lost'] as const
const LOWERED_TO: Partial<Record<LowPoolResponse, SecurityLevel>> = {
  expand: 'expanded',
  'post-quantum': 'post-quantum',
}
const KINDS = ['expanded', 'post-quantum'] as const
/** Share of the full pool that low priority leaves; half of what one side issues from. */
const RESERVE = 0.5

type State = (typeof STATES)[number]

interface Case {
  readonly level: SecurityLevel
  readonly response: LowPoolResponse
  /** True where the request allows the lowest level. */
  readonly allows: boolean
}

const CASES: readonly Case[] = LEVELS.flatMap(level =>
  RESPONSES.flatMap(response => [true, false].map(allows => ({ level, response, allows }))),
)

/** The level that a request gets, or undefined for a refusal: the whole rule of the design in one place. */
function expected(state: State, { level, response, allows }: Case): SecurityLevel | undefined {
  const isOfFreshCells = level !== 'expanded' && level !== 'post-quantum'
  const hasStock = state === 'full' || state === 'refilled in the middle of a wait'
  if (!isOfFreshCells || hasStock) return level
  return allows && level !== 'one-time-pad' ? LOWERED_TO[response] : undefined
}

function policyFor(waitMs: number): PolicyFile {
  const rules = RESPONSES.map(
    (response): PolicyRule => ({
      name: response,
      match: { master: ['alice'], slave: ['bob'], integration: [response] },
      levels: LEVELS,
      whenLow: { response, waitMs },
    }),
  )
  const drain: PolicyRule = { name: 'drain', match: { integration: ['drain'] }, priority: 9 }
  // What fetches says no integration.
  const fetching: PolicyRule = { name: 'fetching', match: { slave: ['bob'] }, levels: LEVELS }
  return {
    rules: [...rules, drain, fetching],
    reserves: [{ priority: 5, share: RESERVE }],
    otherwise: 'deny',
  }
}

const stockOf = ({ kms }: WatchedSite) => kms.status()[0]!

async function bring(sites: CuttableSites, state: State): Promise<void> {
  const [a, b] = sites.sites
  const isReady = (site: WatchedSite) =>
    stockOf(site).issuableCells > 900 && KINDS.every(kind => stockOf(site).virtualCells[kind] >= 100)
  await until(() => isReady(a) && isReady(b), 'both pools are full')
  if (state === 'full') return
  sites.cutFibre()
  if (state === 'link lost') {
    const alice = a.kms.kmsFor('alice')
    // What is under lease is all that is served afterwards: a key of each kind shows that there is a lease.
    for (const level of KINDS) await alice.getKey('bob', { level, integration: 'wait' })
    await sites.cutConnection()
    while (stockOf(a).leasedCells > 0) await alice.getKey('bob', { integration: 'drain' })
    return
  }
  await sites.drain(state === 'low' ? 400 : 0, { integration: 'drain' })
  if (state === 'low') expect(stockOf(a).issuableCells).to.be.greaterThan(100)
}

/** How many keys of each level a site counts in its metrics. */
function counted({ counters }: WatchedSite, name: string): Record<string, number> {
  const samples = counters.families().find(family => family.name === name)?.samples ?? []
  const byLevel: Record<string, number> = {}
  for (const { labels, value } of samples) byLevel[labels.level!] = (byLevel[labels.level!] ?? 0) + value
  return byLevel
}

interface Outcome {
  readonly keys: Key[] | undefined
  readonly refusal: QkdError | undefined
}

async function request(sites: CuttableSites, { level, response, allows }: Case, timeoutMs: number): Promise<Outcome> {
  const alice = sites.sites[0].kms.kmsFor('alice')
  const minLevel: SecurityLevel | undefined = allows ? 'post-quantum' : undefined
  try {
    const options = { level, integration: response, timeoutMs, ...(minLevel && { minLevel }) }
    return { keys: await alice.getKey('bob', options), refusal: undefined }
  } catch (error) {
    if (!(error instanceof QkdError)) throw error
    return { keys: undefined, refusal: error }
  }
}

/** The last line on a key; what becomes of blocks is written beside. */
function lastDecision({ audit }: CuttableSites['sites'][number]) {
  return audit.entries.findLast(({ event }) => event !== 'block' && event !== 'lease')!
}

/** What both ends say of a key: reply, audit line and metrics. */
async function expectTruth(sites: CuttableSites, one: Case, [key]: Key[], level: SecurityLevel): Promise<void> {
  const [a, b] = sites.sites
  const before = counted(b, 'qkd_keys_fetched')[level] ?? 0
  const [same] = await b.kms.kmsFor('bob').getKeyWithIds('alice', [key!.keyId])
  expect(same!.secret.equals(key!.secret)).to.equal(true)
  const trustClass = level === 'post-quantum' ? 'post-quantum' : 'direct'
  for (const end of [key!, same!]) expect([end.level, end.trustClass]).to.deep.equal([level, trustClass])
  const { rule, loweredFrom, ...issued } = lastDecision(a)
  expect(issued).to.include({ event: 'issue', outcome: 'allowed', level, trustClass })
  expect([rule, loweredFrom]).to.deep.equal([one.response, level === one.level ? undefined : one.level])
  expect(lastDecision(b)).to.include({ event: 'deliver', outcome: 'allowed', level, trustClass })
  expect(issued.keyIds).to.deep.equal(lastDecision(b).keyIds)
  expect(counted(b, 'qkd_keys_fetched')[level]).to.equal(before + 1)
}

async function play(sites: CuttableSites, state: State, one: Case): Promise<void> {
  const [a] = sites.sites
  const level = expected(state, one)
  const before = counted(a, 'qkd_keys_issued')
  const lines = a.audit.entries.length
  const answer = request(sites, one, 8000)
  if (state === 'refilled in the middle of a wait') {
    const isWaiting = () => stockOf(a).waitingRequests > 0
    if (one.level !== 'expanded' && one.level !== 'post-quantum') await until(isWaiting, 'the request waits')
    sites.mendFibre()
  }
  const { keys, refusal } = await answer
  expect(keys?.[0]?.level, refusal?.message).to.equal(level)
  if (keys !== undefined) {
    expect(counted(a, 'qkd_keys_issued')).to.deep.equal({ ...before, [level!]: (before[level!] ?? 0) + 1 })
    await expectTruth(sites, one, keys, level!)
    return
  }
  expect(refusal!.code).to.equal('ERR_QKD_POOL_EXHAUSTED')
  expect(a.audit.entries.slice(lines).map(({ event, outcome }) => [event, outcome])).to.deep.equal([
    ['refuse', 'ERR_QKD_POOL_EXHAUSTED'],
  ])
  expect(counted(a, 'qkd_keys_issued')).to.deep.equal(before)
  const couldBeLowered = LOWERED_TO[one.response] !== undefined && one.level !== 'one-time-pad' && !one.allows
  expect(refusal!.message.includes('minLevel')).to.equal(couldBeLowered)
}

describe('levels and responses', function () {
  this.timeout(120_000)

  for (const state of STATES) {
    describe(`while the pool is: ${state}`, () => {
      const isRefilled = state === 'refilled in the middle of a wait'
      let sites: CuttableSites

      before(async () => {
        const policy = policyFor(isRefilled ? 8000 : 50)
        sites = await CuttableSites.open([policy, policy])
        await bring(sites, isRefilled ? 'full' : state)
      })
      after(() => sites[Symbol.asyncDispose]())

      for (const one of CASES) {
        const { level, response, allows } = one
        const request = `${level}, ${response}, ${allows ? 'may be lowered' : 'may not be lowered'}`
        const what = expected(state, one)
        it(`${request}: ${what === undefined ? 'refused with 503' : `gives ${what}`}`, async () => {
          if (isRefilled) {
            sites.cutFibre()
            await sites.drain(0, { integration: 'drain' })
          }
          await play(sites, state, one)
        })
      }
    })
  }
})
