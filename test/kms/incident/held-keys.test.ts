import { expect } from 'chai'
import type { IncidentSelector } from '../../../lib/interface/incident.ts'
import type { SecurityLevel } from '../../../lib/interface/kms.ts'
import type { PolicyFile } from '../../../lib/interface/policy.ts'
import { exposureOf } from '../../../lib/kms/incident/selector.ts'
import { rejectsWith } from '../../helpers/rejects-with.ts'
import { type SiteName, ThreeSites } from '../../helpers/three-sites.ts'
import { until } from '../../helpers/until.ts'

describe('keys that an incident holds back', function () {
  this.timeout(120_000)
  let mesh: ThreeSites

  const hold = (site: SiteName, selector: IncidentSelector) =>
    mesh.sites[site].kms.incidents.open({ selector, state: 'held', by: 'officer' })
  const release = (site: SiteName, id: string) => mesh.sites[site].kms.incidents.release(id, { by: 'officer' })

  before(async () => {
    mesh = await ThreeSites.open()
  })
  after(() => mesh[Symbol.asyncDispose]())

  it('are held where they went by another pool: a third site knows over which links a key came', async () => {
    const alice = mesh.host('alice')
    const [key] = await alice.getKey('bob', { additionalSlaveSaeIds: ['carl', 'anna'] })
    // The cells of the key lie in the pool of a and b; what hid it on its way to c, in that of a and c.
    const { id } = await hold('site-a', { link: 'site-a-site-b' })
    for (const saeId of ['bob', 'carl', 'anna'])
      await rejectsWith(mesh.host(saeId).getKeyWithIds('alice', [key!.keyId]), 'ERR_QKD_POLICY_DENIED')
    await rejectsWith(alice.getKey('bob', { timeoutMs: 300 }), 'ERR_QKD_POOL_EXHAUSTED')
    // Key that came over no such link leaves.
    const [free] = await alice.getKey('carl')
    await mesh.host('carl').getKeyWithIds('alice', [free!.keyId])
    await release('site-a', id)
    for (const saeId of ['bob', 'carl', 'anna'])
      expect((await mesh.host(saeId).getKeyWithIds('alice', [key!.keyId]))[0]!.secret.equals(key!.secret)).to.equal(
        true,
      )
  })

  it('are held where several sites share them, at those too whose pool is not the one that is named', async () => {
    const alice = mesh.host('alice')
    const given = [
      (await alice.getKey('bob', { additionalSlaveSaeIds: ['carl', 'anna'] }))[0]!,
      (await alice.getKey('carl', { additionalSlaveSaeIds: ['bob', 'anna'] }))[0]!,
    ]
    const { id, sites } = await hold('site-a', { pool: 'site-b' })
    expect(sites.map(({ siteId, state }) => `${siteId} ${state}`)).to.have.members(['site-b told', 'site-c told'])
    for (const { keyId } of given)
      for (const saeId of ['bob', 'carl', 'anna'])
        await rejectsWith(mesh.host(saeId).getKeyWithIds('alice', [keyId]), 'ERR_QKD_POLICY_DENIED')
    // What two other sites share alone is free.
    await mesh.host('carl').getKeyWithIds('alice', [(await alice.getKey('carl'))[0]!.keyId])
    await mesh.host('carl').getKeyWithIds('bob', [(await mesh.host('bob').getKey('carl'))[0]!.keyId])
    await release('site-a', id)
    for (const key of given)
      for (const saeId of ['bob', 'carl', 'anna']) {
        const [same] = await mesh.host(saeId).getKeyWithIds('alice', [key.keyId])
        expect(same!.secret.equals(key.secret)).to.equal(true)
      }
  })

  it('are held for any two of several hosts, and no new ones go to them together', async () => {
    const alice = mesh.host('alice')
    const { id } = await hold('site-a', { saePair: ['carl', 'bob'] })
    await rejectsWith(alice.getKey('bob', { additionalSlaveSaeIds: ['carl'] }), 'ERR_QKD_POLICY_DENIED')
    await mesh.host('bob').getKeyWithIds('alice', [(await alice.getKey('bob'))[0]!.keyId])
    await release('site-a', id)
  })

  it('outlive a restart of the site and its peer, and are told to one that was away', async () => {
    await mesh.kill('site-b')
    const view = await hold('site-a', { pool: 'site-b' })
    expect(view.sites.map(({ siteId, state }) => `${siteId} ${state}`)).to.have.members([
      'site-b untold',
      'site-c told',
    ])
    await mesh.kill('site-a')
    await mesh.revive('site-a')
    await mesh.revive('site-b')
    const sitesAtA = () => mesh.sites['site-a'].kms.incidents.list()[0]?.sites ?? []
    await until(
      () => sitesAtA().length > 0 && sitesAtA().every(({ state }) => state === 'told'),
      'site b is told after both have started again',
    )
    await rejectsWith(mesh.host('bob').getKey('alice'), 'ERR_QKD_POLICY_DENIED')
    await rejectsWith(mesh.host('alice').getKey('bob'), 'ERR_QKD_POLICY_DENIED')
    await mesh.host('alice').getKey('carl')
    await release('site-a', view.id)
    expect(mesh.sites['site-b'].kms.incidents.list()).to.deep.equal([])
  })

  it('are not declared where nothing is named, or nothing could be meant, nor changed by another site', async () => {
    const desk = mesh.sites['site-a'].kms.incidents
    for (const selector of [
      {},
      { saePair: ['bob', 'bob'] },
      { pool: '' },
      { sinceMs: 5, untilMs: 4 },
      { sinceMs: 8.64e15 + 1 },
      { pool: 'site-z' },
    ])
      await rejectsWith(
        desk.open({ selector: selector as IncidentSelector, state: 'held', by: 'officer' }),
        'ERR_QKD_INVALID_ARGUMENT',
      )
    const { id } = await hold('site-b', { pool: 'site-a' })
    await rejectsWith(desk.release(id, { by: 'officer' }), 'ERR_QKD_INVALID_ARGUMENT')
    await release('site-b', id)
    await rejectsWith(release('site-b', id), 'ERR_QKD_INVALID_ARGUMENT')
  })
})

describe('exposureOf', () => {
  const links = [
    { linkId: 'one', siteIds: ['a', 'x'] as [string, string], secrecy: 'quantum' as const, simulated: false },
  ]
  const way = { shares: [[['a', 'x', 'b']], [['a', 'y', 'b']]], links, sinceMs: 100, untilMs: 200 }

  it('tells shares from the whole, by relay, by link and by both on one path', () => {
    expect(exposureOf({ relay: 'x' }, way)).to.equal('shares')
    expect(exposureOf({ relay: 'a' }, way), 'an end is no relay').to.equal('none')
    expect(exposureOf({ link: 'one' }, { ...way, shares: way.shares.slice(0, 1) })).to.equal('whole')
    expect(exposureOf({ link: 'b/x' }, way)).to.equal('shares')
    expect(exposureOf({ relay: 'y', link: 'a/x' }, way)).to.equal('none')
    expect(exposureOf({}, way)).to.equal('whole')
    // A share that was sent again over another path was seen on both.
    expect(
      exposureOf(
        { relay: 'x' },
        {
          ...way,
          shares: [
            [
              ['a', 'y', 'b'],
              ['a', 'x', 'b'],
            ],
          ],
        },
      ),
    ).to.equal('whole')
  })

  it('goes by any moment in common with the way, and takes what nobody knows for seen', () => {
    for (const [sinceMs, untilMs, seen] of [
      [0, 99, 'none'],
      [0, 100, 'shares'],
      [200, 300, 'shares'],
      [201, 300, 'none'],
    ] as const)
      expect(exposureOf({ relay: 'x', sinceMs, untilMs }, way), `${sinceMs} to ${untilMs}`).to.equal(seen)
    expect(exposureOf({ relay: 'x' }, undefined)).to.equal('whole')
    expect(exposureOf({ link: 'other' }, way), 'hops of which nothing is known').to.equal('whole')
  })
})

describe('keys of virtual blocks that an incident holds back', function () {
  this.timeout(120_000)

  it('are held with the block that their seed came from, and not where they come from no block', async () => {
    const levels = ['quantum', 'expanded', 'post-quantum'] as const
    const policy: PolicyFile = { rules: [], defaults: { levels }, otherwise: 'allow' }
    await using mesh = await ThreeSites.open({ policies: { 'site-a': policy, 'site-b': policy, 'site-c': policy } })
    const take = (level: SecurityLevel) => mesh.host('alice').getKey('bob', { level })
    const [grown] = await take('expanded')
    const [made] = await take('post-quantum')
    const desk = mesh.sites['site-a'].kms.incidents
    const { id } = await desk.open({ selector: { link: 'site-a-site-b' }, state: 'held', by: 'officer' })
    const fetch = (keyId: string) => mesh.host('bob').getKeyWithIds('alice', [keyId])
    await rejectsWith(fetch(grown!.keyId), 'ERR_QKD_POLICY_DENIED')
    expect((await fetch(made!.keyId))[0]!.secret.equals(made!.secret)).to.equal(true)
    await rejectsWith(mesh.host('alice').getKey('bob', { level: 'expanded', timeoutMs: 300 }), 'ERR_QKD_POOL_EXHAUSTED')
    await take('post-quantum')
    await desk.release(id, { by: 'officer' })
    expect((await fetch(grown!.keyId))[0]!.secret.equals(grown!.secret)).to.equal(true)
  })
})
