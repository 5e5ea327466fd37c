import { expect } from 'chai'
import type { PolicyFile } from '../lib/interface/policy.ts'
import { createLocalPair } from '../lib/site.ts'
import { rejectsWith } from './helpers/rejects-with.ts'
import { createTestSites } from './helpers/test-sites.ts'
import { until } from './helpers/until.ts'

const open: PolicyFile = { rules: [], otherwise: 'allow' }

describe('the policy of a site', () => {
  it('decides for its hosts, and can be exchanged', async () => {
    const [near, far] = await createLocalPair({ rateBps: 100_000_000, policy: { rules: [], otherwise: 'deny' } })
    await using _near = near
    await using _far = far
    const [alice, bob] = [near.kmsFor('alice'), far.kmsFor('bob')]
    await rejectsWith(alice.getKey('bob'), 'ERR_QKD_POLICY_DENIED')
    await rejectsWith(alice.getStatus('bob'), 'ERR_QKD_POLICY_DENIED')
    near.setPolicy({ rules: [{ name: 'small', maxKeysPerRequest: 2, levels: ['hybrid'] }], otherwise: 'deny' })
    expect((await alice.getStatus('bob')).maxKeyPerRequest).to.equal(2)
    const [key] = await alice.getKey('bob')
    expect(key!.level).to.equal('hybrid')
    await rejectsWith(bob.getKeyWithIds('alice', [key!.keyId]), 'ERR_QKD_POLICY_DENIED')
    far.setPolicy({ rules: [{ name: 'raw', levels: ['quantum'] }], otherwise: 'deny' })
    const refused = await rejectsWith(bob.getKeyWithIds('alice', [key!.keyId]), 'ERR_QKD_POLICY_DENIED')
    expect(refused.message).to.include('"raw" takes no keys of level hybrid')
    far.setPolicy(open)
    const [same] = await bob.getKeyWithIds('alice', [key!.keyId])
    expect(same!.secret.equals(key!.secret)).to.equal(true)
  })

  it('drops no request when it is exchanged', async () => {
    const [near, far] = await createLocalPair({ rateBps: 2_000_000, pool: { maxWaitMs: 9_000 } })
    await using _near = near
    await using _far = far
    const alice = near.kmsFor('alice')
    let exchanges = 0
    const timer = setInterval(() => {
      near.setPolicy({ ...open, defaults: { priority: exchanges++ % 10 } })
    }, 1)
    try {
      const given = await Promise.all(Array.from({ length: 400 }, () => alice.getKey('bob', { timeoutMs: 9_000 })))
      expect(new Set(given.flatMap(keys => keys.map(({ keyId }) => keyId))).size).to.equal(400)
      expect(exchanges).to.be.above(5)
    } finally {
      clearInterval(timer)
    }
  })

  it('goes by the hours on the wall, also where the clock was set since the start', async () => {
    const time = { from: '02:00', to: '03:00' }
    const policy: PolicyFile = { rules: [{ name: 'at night', match: { time } }], otherwise: 'deny' }
    const dateNow = Date.now
    try {
      Date.now = () => Date.UTC(2026, 10, 23, 12)
      const [near, far] = await createLocalPair({ rateBps: 100_000_000, policy })
      await using _near = near
      await using _far = far
      await rejectsWith(near.kmsFor('alice').getKey('bob'), 'ERR_QKD_POLICY_DENIED')
      Date.now = () => Date.UTC(2026, 10, 23, 2, 30)
      expect(await near.kmsFor('alice').getKey('bob')).to.have.length(1)
    } finally {
      Date.now = dateNow
    }
  })

  it('leaves the reserve to those who may use it', async () => {
    await using sites = await createTestSites({
      pool: { maxWaitMs: 500, targetBlocks: 4 },
      policy: {
        reserves: [{ priority: 5, share: 0.5 }],
        rules: [{ name: 'high', match: { integration: ['alarm'] }, priority: 5 }],
        otherwise: 'allow',
      },
    })
    const { alice } = sites
    await until(() => sites.sites[0].status().pools[0]!.issuableCells > 1500, 'the pool fills')
    sites.cutLink()
    let taken = 0
    const drain = async () => {
      for (;;) taken += (await alice.getKey('bob', { number: 100 })).length
    }
    await rejectsWith(drain(), 'ERR_QKD_POOL_EXHAUSTED')
    // Half of what this side's half of the pool holds when it is full: 4 blocks of 998 cells.
    expect(sites.sites[0].status().pools[0]!.issuableCells).to.be.within(998, 998 + 100)
    expect(taken).to.be.above(0)
    expect(await alice.getKey('bob', { integration: 'alarm', number: 100 })).to.have.length(100)
  })
})
