import { expect } from 'chai'
import type { GetKeyOptions, Key } from '../../lib/interface/kms.ts'
import type { PolicyFile } from '../../lib/interface/policy.ts'
import { rejectsWith } from '../helpers/rejects-with.ts'
import { type SiteName, ThreeSites } from '../helpers/three-sites.ts'
import { until } from '../helpers/until.ts'

const EVERYWHERE = ['bea', 'carl', 'cleo', 'anna']
const idsOf = (keys: readonly Key[]) => keys.map(({ keyId }) => keyId)

/** Alice's keys for bob and the others; a pool that has nothing yet is waited for. */
async function share(mesh: ThreeSites, options: GetKeyOptions = {}): Promise<Key[]> {
  for (;;) {
    try {
      return await mesh.host('alice').getKey('bob', { additionalSlaveSaeIds: EVERYWHERE, ...options })
    } catch (error) {
      if ((error as { code?: string }).code !== 'ERR_QKD_POOL_EXHAUSTED') throw error
    }
  }
}

async function expectHas(mesh: ThreeSites, saeId: string, given: readonly Key[]): Promise<void> {
  const fetched = await mesh.host(saeId).getKeyWithIds('alice', idsOf(given))
  given.forEach((key, at) => {
    expect(fetched[at]!.secret.equals(key.secret), `${saeId} has the same key`).to.equal(true)
    expect([fetched[at]!.level, fetched[at]!.trustClass]).to.deep.equal([key.level, key.trustClass])
  })
}

async function expectNothingFor(mesh: ThreeSites, saeId: string, given: readonly Key[]): Promise<void> {
  for (const keyId of idsOf(given))
    await rejectsWith(mesh.host(saeId).getKeyWithIds('alice', [keyId]), 'ERR_QKD_KEY_NOT_FOUND')
}

describe('multicast', function () {
  this.timeout(30_000)

  it('gives one key to hosts at the first site, a third one and the own, each once', async () => {
    await using mesh = await ThreeSites.open()
    for (const level of ['quantum', 'hybrid', 'one-time-pad'] as const) {
      const given = await share(mesh, { number: 3, level })
      expect(given.map(key => key.level)).to.deep.equal([level, level, level])
      for (const saeId of ['bob', ...EVERYWHERE]) await expectHas(mesh, saeId, given)
      for (const saeId of ['bob', ...EVERYWHERE]) await expectNothingFor(mesh, saeId, given)
    }
  })

  it('gives keys of levels that need no cell of the network for each, and says so at every end', async () => {
    const levels = ['quantum', 'hybrid', 'one-time-pad', 'expanded', 'post-quantum'] as const
    const policy: PolicyFile = { rules: [], defaults: { levels }, otherwise: 'allow' }
    await using mesh = await ThreeSites.open({ policies: { 'site-a': policy, 'site-b': policy, 'site-c': policy } })
    for (const level of levels) {
      const given = await share(mesh, { level, number: 2 })
      expect(given[0]!.level).to.equal(level)
      for (const saeId of ['bob', ...EVERYWHERE]) await expectHas(mesh, saeId, given)
    }
  })

  it('gives 128 keys at once, in any order, and as large as keys come', async () => {
    await using mesh = await ThreeSites.open({ keys: { maxKeySizeBits: 255_488 } })
    const many = await share(mesh, { number: 128, additionalSlaveSaeIds: ['carl', 'bea'] })
    for (const saeId of ['carl', 'bob', 'bea']) await expectHas(mesh, saeId, many.toReversed())
    const [large] = await share(mesh, { sizeBits: (31_936 - 32) * 8, additionalSlaveSaeIds: ['carl'] })
    await expectHas(mesh, 'carl', [large!])
    const tooLarge = mesh.host('alice').getKey('bob', { sizeBits: 255_488, additionalSlaveSaeIds: ['carl'] })
    await rejectsWith(tooLarge, 'ERR_QKD_INVALID_ARGUMENT')
  })

  it('gives the key to all recipients of a site at once, with the cells burned by the last', async () => {
    await using mesh = await ThreeSites.open()
    const given = await share(mesh, { number: 5 })
    await Promise.all(['bea', 'bob', 'carl', 'cleo', 'anna'].map(saeId => expectHas(mesh, saeId, given)))
    await expectNothingFor(mesh, 'bea', given)
  })

  it('refuses the key to hosts that were not named, and under another master', async () => {
    await using mesh = await ThreeSites.open()
    const given = await share(mesh, { additionalSlaveSaeIds: ['carl'] })
    for (const saeId of ['bea', 'cleo'])
      await rejectsWith(mesh.host(saeId).getKeyWithIds('alice', idsOf(given)), 'ERR_QKD_UNAUTHORIZED')
    await rejectsWith(mesh.host('carl').getKeyWithIds('anna', idsOf(given)), 'ERR_QKD_UNAUTHORIZED')
    await rejectsWith(mesh.host('anna').getKeyWithIds('alice', idsOf(given)), 'ERR_QKD_KEY_NOT_FOUND')
    for (const saeId of ['bob', 'carl']) await expectHas(mesh, saeId, given)
  })

  it('tells what it allows, and refuses more, strangers, and names given twice', async () => {
    await using mesh = await ThreeSites.open({ keys: { maxSaeIdCount: 2 } })
    const alice = mesh.host('alice')
    expect((await alice.getStatus('bob')).maxSaeIdCount).to.equal(2)
    for (const additionalSlaveSaeIds of [['bea', 'carl', 'cleo'], ['nobody'], ['carl', 'carl'], ['bob'], ['alice']]) {
      await rejectsWith(alice.getKey('bob', { additionalSlaveSaeIds }), 'ERR_QKD_INVALID_ARGUMENT')
    }
    await using none = await ThreeSites.open({ keys: { maxSaeIdCount: 0 } })
    const asking = none.host('alice').getKey('bob', { additionalSlaveSaeIds: ['bea'] })
    expect((await rejectsWith(asking, 'ERR_QKD_INVALID_ARGUMENT')).message).to.contain('max_SAE_ID_count is 0')
  })

  it('writes who gets what at every site, before it leaves', async () => {
    await using mesh = await ThreeSites.open()
    const given = await share(mesh)
    const written = (siteId: SiteName) => mesh.sites[siteId].audit.filter(({ outcome }) => outcome === 'allowed')
    const what = { masterSaeId: 'alice', slaveSaeId: 'bob', keyIds: idsOf(given), level: 'quantum', sizeBits: 256 }
    expect(written('site-a')).to.have.length(1)
    expect(written('site-a')[0]).to.deep.include({ event: 'issue', ...what, additionalSlaveSaeIds: EVERYWHERE })
    expect(written('site-b')[0]).to.deep.include({ event: 'share', ...what, additionalSlaveSaeIds: ['bob', 'bea'] })
    expect(written('site-c')[0]).to.deep.include({ event: 'share', ...what, additionalSlaveSaeIds: ['carl', 'cleo'] })
    await expectHas(mesh, 'cleo', given)
    expect(written('site-c')[1]).to.deep.include({ event: 'deliver', slaveSaeId: 'cleo', peerSiteId: 'site-a' })
  })

  const refusing = (match: object): PolicyFile => ({
    rules: [{ name: 'not these', match, deny: true }],
    otherwise: 'allow',
  })
  const policies: [string, SiteName, PolicyFile][] = [
    ["the master's site refuses a further slave", 'site-a', refusing({ slave: ['cleo'] })],
    ["the third site refuses its host's key", 'site-c', refusing({ slave: ['cleo'] })],
    ["the first site refuses a neighbour's key", 'site-b', refusing({ slave: ['bea'] })],
  ]
  for (const [what, siteId, policy] of policies) {
    it(`gives no key where ${what}`, async () => {
      await using mesh = await ThreeSites.open({ policies: { [siteId]: policy } })
      await rejectsWith(share(mesh), 'ERR_QKD_POLICY_DENIED')
      await expectHas(mesh, 'bob', await share(mesh, { additionalSlaveSaeIds: [] }))
    })
  }

  it('refuses in so many words while a third site is down, and consumes nothing', async () => {
    await using mesh = await ThreeSites.open()
    await share(mesh)
    await mesh.kill('site-c')
    const leased = () =>
      mesh.sites['site-a'].kms.status().map(({ leasedCells, issuableCells }) => [leasedCells, issuableCells])
    const before = leased()
    const error = await rejectsWith(share(mesh), 'ERR_QKD_POOL_DESYNC')
    expect(error.message).to.contain('The KMS of site-c cannot be reached')
    expect(leased()).to.deep.equal(before)
    await expectHas(mesh, 'bea', await share(mesh, { additionalSlaveSaeIds: ['bea', 'anna'] }))
    await mesh.revive('site-c')
    await expectHas(mesh, 'carl', await share(mesh))
  })

  it('erases what nobody fetched in time, and what all have', async () => {
    await using mesh = await ThreeSites.open({ pool: { lifetimeMs: 10_000 } })
    const notes = async (siteId: SiteName) => {
      const { store } = mesh.sites[siteId]
      const all = await Promise.all(
        (await store.poolIds()).map(async id => [...(await store.snapshot(id)).notes.keys()]),
      )
      return all.flat().filter(name => name.startsWith('shared ')).length
    }
    const given = await share(mesh, { number: 2 })
    await expectHas(mesh, 'carl', [given[0]!])
    expect(await notes('site-c')).to.equal(2)
    expect(await notes('site-a')).to.equal(2)
    for (let n = 0; n < 8; n++) mesh.advance(10_000)
    for (const saeId of EVERYWHERE) await expectNothingFor(mesh, saeId, given)
    await until(
      async () => (await notes('site-c')) + (await notes('site-a')) + (await notes('site-b')) === 0,
      'all expired',
    )
  })

  it('gives a key out once across restarts of every site', async () => {
    await using mesh = await ThreeSites.open()
    const given = await share(mesh)
    for (const saeId of ['bea', 'cleo']) await expectHas(mesh, saeId, given)
    for (const siteId of ['site-a', 'site-b', 'site-c'] as const) {
      await mesh.kill(siteId)
      await mesh.revive(siteId)
    }
    for (const saeId of ['bea', 'cleo']) await expectNothingFor(mesh, saeId, given)
    for (const saeId of ['bob', 'carl', 'anna']) await expectHas(mesh, saeId, given)
    for (const saeId of ['bob', 'carl', 'anna']) await expectNothingFor(mesh, saeId, given)
  })
})
