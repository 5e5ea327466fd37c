import { expect } from 'chai'
import type { QkdError } from '../../../lib/errors.ts'
import type { Key } from '../../../lib/interface/kms.ts'
import { alteredChannel } from '../../helpers/altered-channel.ts'
import { PoolPair } from '../../helpers/pool-pair.ts'
import { until } from '../../helpers/until.ts'

const pair = { masterSaeId: 'alice', slaveSaeId: 'bob' }
const request = { pair, number: 1, sizeBytes: 32, suite: 2 as const, waitMs: 5000 }
const options = { limits: { lifetimeMs: 300_000 }, admitShare: async () => {} }

/** A key of site A, in cells, that site B has recorded for bob and carol. */
async function shared({ sites: [{ pool: a }] }: PoolPair): Promise<Key> {
  const [key] = await a.issue(request)
  const { keyId, level, trustClass } = key!
  const how = { level: level!, trustClass: trustClass!, sizeBytes: 32, ways: [], padIds: [], sealed: [] }
  const handover = { ...pair, ...how, saeIds: ['bob', 'carol'], keyIds: [keyId] }
  await a.handovers.give(handover, { signal: AbortSignal.timeout(5000) })
  return key!
}

/** What each of them gets for its key_ID at site B, one after the other. */
async function fetched({ sites: [, { pool }] }: PoolPair, { keyId, secret }: Key, saeIds: string[]): Promise<string[]> {
  const outcomes: string[] = []
  for (const slaveSaeId of saeIds) {
    const outcome = await pool.retrieve({ ...pair, slaveSaeId }, [keyId], { waitMs: 5000 }).then(
      ([got]) => (got!.secret.equals(secret) ? 'the key' : 'another key'),
      (error: QkdError) => error.code,
    )
    outcomes.push(outcome)
  }
  return outcomes
}

describe('a key of several hosts in cells of the pool', () => {
  it('goes to each once, also where its cells outlive the lifetime that is agreed now', async () => {
    await using sites = await PoolPair.open(options)
    sites.connect()
    const [{ pool: a }, { pool: b }] = sites.sites
    await a.issue(request)
    await until(() => a.status().leasedCells > 0, 'cells are under lease for the longer lifetime')
    await sites.disconnect()
    sites.connect(channel =>
      alteredChannel(channel, message => (message.name === 'hello' ? { ...message, lifetimeMs: 1000 } : message)),
    )
    await until(() => a.connected && b.connected, 'the two have agreed on a shorter one')
    expect([a.lifetimeMs, b.lifetimeMs]).to.deep.equal([1000, 1000])

    const key = await shared(sites)
    expect(await fetched(sites, key, ['bob', 'bob'])).to.deep.equal(['the key', 'ERR_QKD_KEY_NOT_FOUND'])
    sites.advance(62_000)
    await b.shared.sweep()
    expect(await fetched(sites, key, ['bob', 'carol'])).to.deep.equal(['ERR_QKD_KEY_NOT_FOUND', 'the key'])
    expect(await fetched(sites, key, ['bob', 'carol'])).to.deep.equal(Array(2).fill('ERR_QKD_KEY_NOT_FOUND'))
  })

  it('has its record for as long as its cells live, and not longer', async () => {
    await using sites = await PoolPair.open(options)
    sites.connect()
    const key = await shared(sites)
    const [, { pool: b }] = sites.sites
    sites.advance(359_000)
    await b.shared.sweep()
    expect(b.shared.has(key.keyId)).to.equal(true)
    sites.advance(1000)
    await until(() => !b.shared.has(key.keyId), 'its record is over')
    expect(await fetched(sites, key, ['bob'])).to.deep.equal(['ERR_QKD_KEY_NOT_FOUND'])
  })
})
