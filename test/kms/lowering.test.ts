import { expect } from 'chai'
import { createRemoteKms } from '../../lib/client/remote-kms.ts'
import type { SecurityLevel } from '../../lib/interface/kms.ts'
import type { PolicyFile, PolicyTerms } from '../../lib/interface/policy.ts'
import { CuttableSites, type CuttableSitesOptions } from '../helpers/cuttable-sites.ts'
import { rejectsWith } from '../helpers/rejects-with.ts'
import { createServedTestSites } from '../helpers/test-sites.ts'
import { until } from '../helpers/until.ts'

const LEVELS: readonly SecurityLevel[] = ['one-time-pad', 'quantum', 'hybrid', 'expanded', 'post-quantum']
const ALL: PolicyFile = { rules: [], defaults: { levels: LEVELS }, otherwise: 'allow' }

/** A policy that names the pair and grants `terms`; what fetches may have every level. */
function granting(terms: PolicyTerms): PolicyFile {
  const match = { master: ['alice'], slave: ['bob'] }
  const drain = { name: 'drain', match: { integration: ['drain'] } }
  const rules = [drain, { name: 'the pair', match, levels: LEVELS, ...terms }]
  return { rules, defaults: { levels: LEVELS }, otherwise: 'allow' }
}

const expanding = (more: Partial<NonNullable<PolicyTerms['whenLow']>> = {}) =>
  granting({ whenLow: { response: 'expand', waitMs: 0, ...more } })

async function open(near: PolicyFile, far: PolicyFile = ALL, options: CuttableSitesOptions = {}) {
  const sites = await CuttableSites.open([near, far], options)
  const [a, b] = sites.sites
  const [alice, bob] = [a.kms.kmsFor('alice'), b.kms.kmsFor('bob')]
  const status = () => a.kms.status()[0]!
  const drain = async () => {
    sites.cutFibre()
    await sites.drain(0, { integration: 'drain' })
  }
  await until(() => status().issuableCells > 900, 'the pool is full')
  return { sites, a, b, alice, bob, status, drain, [Symbol.asyncDispose]: () => sites[Symbol.asyncDispose]() }
}

const MAY_BE_LOWERED = { minLevel: 'expanded' } as const

describe('lowering the level of a key', function () {
  this.timeout(60_000)

  it('does not happen in a burst that has to wait for leases of a full pool', async () => {
    await using pair = await open(expanding())
    const given = await Promise.all(Array.from({ length: 300 }, () => pair.alice.getKey('bob', MAY_BE_LOWERED)))
    expect(new Set(given.flat().map(({ level }) => level))).to.deep.equal(new Set(['quantum']))
  })

  it('is told as it begins and as it ends, and counted', async () => {
    await using pair = await open(expanding())
    await until(() => pair.status().virtualCells.expanded > 0, 'a block is open ahead')
    await pair.drain()
    for (let i = 0; i < 3; i++) expect((await pair.alice.getKey('bob', MAY_BE_LOWERED))[0]!.level).to.equal('expanded')
    const told = () =>
      pair.a.events.flatMap(event => (event.type === 'alarm' && /^keys-lowered/.test(event.id) ? event : []))
    expect(told().map(({ state }) => state)).to.deep.equal(['raised'])
    const lowered = pair.a.counters.families().find(({ name }) => name === 'qkd_keys_lowered')!
    expect(lowered.samples).to.deep.equal([{ labels: { peer: 'site-b', from: 'quantum', to: 'expanded' }, value: 3 }])
    pair.sites.mendFibre()
    await until(() => pair.status().issuableCells > 100, 'the pool fills again')
    expect((await pair.alice.getKey('bob', MAY_BE_LOWERED))[0]!.level).to.equal('quantum')
    expect(told().map(({ state }) => state)).to.deep.equal(['raised', 'cleared'])
  })

  it('is capped by a rate of its own', async () => {
    await using pair = await open(expanding({ rate: { bitsPerSecond: 1, burstBits: 512 } }))
    await until(() => pair.status().virtualCells.expanded > 0, 'a block is open ahead')
    await pair.drain()
    for (let i = 0; i < 2; i++) await pair.alice.getKey('bob', MAY_BE_LOWERED)
    const refused = await rejectsWith(pair.alice.getKey('bob', MAY_BE_LOWERED), 'ERR_QKD_POOL_EXHAUSTED')
    expect(refused.message).to.include('lowered keys of SAE alice')
  })

  it('goes no further than the request allows', async () => {
    await using pair = await open(granting({ whenLow: { response: 'post-quantum', waitMs: 0 } }))
    await pair.drain()
    const refused = await rejectsWith(pair.alice.getKey('bob', MAY_BE_LOWERED), 'ERR_QKD_POOL_EXHAUSTED')
    expect(refused.message).to.include('with minLevel post-quantum')
    const [key] = await pair.alice.getKey('bob', { minLevel: 'post-quantum' })
    expect(key!.level).to.equal('post-quantum')
  })

  it('takes the word of the administrator for a host that cannot speak of levels', async () => {
    await using pair = await open(expanding(), ALL, { minLevel: 'expanded' })
    await until(() => pair.status().virtualCells.expanded > 0, 'a block is open ahead')
    await pair.drain()
    expect((await pair.alice.getKey('bob'))[0]!.level).to.equal('expanded')
    // What the request itself says goes before.
    await rejectsWith(pair.alice.getKey('bob', { minLevel: 'quantum', timeoutMs: 100 }), 'ERR_QKD_POOL_EXHAUSTED')
    await rejectsWith(pair.alice.getKey('bob', { level: 'post-quantum' }), 'ERR_QKD_INVALID_ARGUMENT')
  })

  it('takes the consent of the other site, whose pool it costs nothing', async () => {
    await using pair = await open(expanding(), { rules: [], otherwise: 'allow' })
    await pair.drain()
    await rejectsWith(pair.alice.getKey('bob', { ...MAY_BE_LOWERED, timeoutMs: 600 }), 'ERR_QKD_POOL_EXHAUSTED')
    expect(pair.b.events.some(event => event.type === 'block' && event.row === 30)).to.equal(false)
    const refusals = pair.b.events.filter(({ type }) => type === 'alarm')
    expect(refusals).to.have.length.at.least(1)
  })

  it('is refused to who fetches by a stricter policy, and the key stays where it is', async () => {
    await using pair = await open(ALL)
    const [key] = await pair.alice.getKey('bob', { level: 'expanded' })
    pair.b.kms.setPolicy({ rules: [], otherwise: 'allow' })
    await rejectsWith(pair.bob.getKeyWithIds('alice', [key!.keyId]), 'ERR_QKD_POLICY_DENIED')
    pair.b.kms.setPolicy(ALL)
    await rejectsWith(pair.bob.getKeyWithIds('alice', [key!.keyId], { minLevel: 'quantum' }), 'ERR_QKD_POLICY_DENIED')
    const [same] = await pair.bob.getKeyWithIds('alice', [key!.keyId], { minLevel: 'expanded' })
    expect(same!.secret.equals(key!.secret)).to.equal(true)
  })

  it('keeps to the budget of a seed that both sites allow', async () => {
    await using pair = await open({ ...ALL, cellsPerSeed: 2 }, { ...ALL, cellsPerSeed: 2 })
    const refused = await rejectsWith(
      pair.alice.getKey('bob', { level: 'expanded', sizeBits: 768 }),
      'ERR_QKD_INVALID_ARGUMENT',
    )
    expect(refused.message).to.include('at most 512 bits')
    for (let i = 0; i < 5; i++) {
      const [key] = await pair.alice.getKey('bob', { level: 'expanded', sizeBits: 512 })
      const [same] = await pair.bob.getKeyWithIds('alice', [key!.keyId])
      expect(same!.secret.equals(key!.secret)).to.equal(true)
    }
    const seeds = pair.a.counters.families().find(({ name }) => name === 'qkd_cells_burned')!
    const grown = seeds.samples.find(({ labels }) => labels.reason === 'a seed of expanded keys')!
    expect(grown.value).to.be.at.least(5)
    pair.b.kms.setPolicy({ ...ALL, cellsPerSeed: 1 })
    await rejectsWith(
      (async () => {
        for (let i = 0; i < 4; i++) await pair.alice.getKey('bob', { level: 'expanded', sizeBits: 512, timeoutMs: 400 })
      })(),
      'ERR_QKD_POOL_EXHAUSTED',
    )
  })
})

describe('the construction of hybrid keys', () => {
  it('is what the policy says, and the other site learns it by the selection', async () => {
    await using pair = await open(granting({ hybrid: 'kdf' }))
    const [key] = await pair.alice.getKey('bob', { level: 'hybrid', sizeBits: 512 })
    const [same] = await pair.bob.getKeyWithIds('alice', [key!.keyId])
    expect(same!.secret.equals(key!.secret)).to.equal(true)
    expect([key!.level, same!.level]).to.deep.equal(['hybrid', 'hybrid'])
    // A KDF gives no more than its hash has, a mask does.
    await rejectsWith(pair.alice.getKey('bob', { level: 'hybrid', sizeBits: 520 }), 'ERR_QKD_INVALID_ARGUMENT')
    pair.a.kms.setPolicy(granting({ hybrid: 'xor' }))
    await pair.alice.getKey('bob', { level: 'hybrid', sizeBits: 520 })
  })
})

describe('levels over ETSI GS QKD 014', function () {
  this.timeout(60_000)

  it('asks for a level and the lowest that will do, and holds both ends to it', async () => {
    await using sites = await createServedTestSites({ policy: ALL })
    const connect = (saeId: string, at: 0 | 1) =>
      createRemoteKms({ saeId, baseUrl: sites.sites[at].address.etsi014.url, ...sites.credentials(saeId) })
    await using alice = connect('alice', 0)
    await using bob = connect('bob', 1)
    for (const level of ['expanded', 'post-quantum'] as const) {
      const [key] = await alice.getKey('bob', { level, minLevel: 'post-quantum' })
      expect(key!.level).to.equal(level)
      await rejectsWith(bob.getKeyWithIds('alice', [key!.keyId], { minLevel: 'quantum' }), 'ERR_QKD_POLICY_DENIED')
      const [same] = await bob.getKeyWithIds('alice', [key!.keyId], { minLevel: 'post-quantum' })
      expect(same!.secret.equals(key!.secret)).to.equal(true)
      expect([same!.level, same!.trustClass]).to.deep.equal([key!.level, key!.trustClass])
    }
    await rejectsWith(alice.getKey('bob', { level: 'expanded', minLevel: 'quantum' }), 'ERR_QKD_INVALID_ARGUMENT')
  })
})
