import { expect } from 'chai'
import type { Key } from '../../../lib/interface/kms.ts'
import { exportKey } from '../../../lib/key/export-key.ts'
import type { Suite } from '../../../lib/key/selection.ts'
import { blockKind, type VirtualKind } from '../../../lib/key/virtual-block.ts'
import type { VirtualTerms } from '../../../lib/kms/pool/virtual-opener.ts'
import { PoolPair, type PoolSite } from '../../helpers/pool-pair.ts'
import { rejectsWith } from '../../helpers/rejects-with.ts'
import { until } from '../../helpers/until.ts'

const pair = { masterSaeId: 'alice', slaveSaeId: 'bob' }
const CELLS = 40
const SUITES = { expanded: 5, 'post-quantum': 6 } as const
const KINDS = ['expanded', 'post-quantum'] as const

const terms = (...kinds: VirtualKind[]): VirtualTerms => ({
  allows: kind => kinds.includes(kind),
  cellsPerBlock: () => CELLS,
})
const both = terms(...KINDS)

const issue = ({ pool }: PoolSite, suite: Suite, number: number, sizeBytes = 32) =>
  pool.issue({ pair, number, sizeBytes, suite, waitMs: 8000 })

async function expectSame(keys: readonly Key[], to: PoolSite): Promise<void> {
  const ids = keys.map(({ keyId }) => keyId)
  const got = await to.pool.retrieve(pair, ids, { waitMs: 8000 })
  keys.forEach((key, at) => {
    expect(got[at]!.secret.equals(key.secret)).to.equal(true)
    expect([got[at]!.level, got[at]!.trustClass]).to.deep.equal([key.level, key.trustClass])
  })
}

describe('virtual blocks', function () {
  this.timeout(60_000)

  for (const kind of KINDS) {
    describe(kind, () => {
      it('gives both sites the same keys, both ways at once, and says the level', async () => {
        await using sites = await PoolPair.open({ virtual: both })
        sites.connect()
        const [a, b] = sites.sites
        const [there, back] = await Promise.all([issue(a, SUITES[kind], 30), issue(b, SUITES[kind], 30)])
        await expectSame(there, b)
        await expectSame(back, a)
        expect(new Set([...there, ...back].map(({ level }) => level))).to.deep.equal(new Set([kind]))
        const trustClass = kind === 'expanded' ? 'direct' : 'post-quantum'
        expect(new Set([...there, ...back].map(key => key.trustClass))).to.deep.equal(new Set([trustClass]))
      })

      it('goes on with another block where one is used up', async () => {
        await using sites = await PoolPair.open({ virtual: both })
        sites.connect()
        const [a, b] = sites.sites
        for (let round = 0; round < 8; round++) await expectSame(await issue(a, SUITES[kind], CELLS / 4), b)
        expect(opened(a, kind)).to.be.at.least(2)
      })

      it('delivers each key once', async () => {
        await using sites = await PoolPair.open({ virtual: both })
        sites.connect()
        const [a, b] = sites.sites
        const keys = await issue(a, SUITES[kind], 2)
        await expectSame(keys, b)
        await rejectsWith(b.pool.retrieve(pair, [keys[0]!.keyId], { waitMs: 0 }), 'ERR_QKD_KEY_NOT_FOUND')
      })

      it('is opened at no site whose policy does not take it, and costs that one nothing', async () => {
        await using sites = await PoolPair.open({ virtual: [both, terms()] })
        sites.connect()
        const [a, b] = sites.sites
        await expectSame(await issue(a, 2, 1), b)
        await until(() => alarms(b).length > 0, 'the peer says that it refuses')
        await rejectsWith(
          a.pool.issue({ pair, number: 1, sizeBytes: 32, suite: SUITES[kind], waitMs: 300 }),
          'ERR_QKD_POOL_EXHAUSTED',
        )
        expect(opened(b, kind)).to.equal(0)
        await until(() => alarms(a).length > 0, 'the owner says so too')
      })
    })
  }

  it('asks a peer that refuses less and less often: each time costs a seed', async () => {
    await using sites = await PoolPair.open({ virtual: [terms('expanded'), terms()] })
    sites.connect()
    const [a] = sites.sites
    await until(() => alarms(a).length > 0, 'it asked and was refused')
    // A request that waits makes the pool look at once.
    const ask = () => a.pool.issue({ pair, number: 1, sizeBytes: 32, suite: 5, waitMs: 100 }).catch(() => {})
    for (const [round, pauseMs] of [5000, 10_000, 20_000].entries()) {
      sites.advance(pauseMs - 1)
      await ask()
      expect(opened(a, 'expanded')).to.equal(round + 1)
      sites.advance(1)
      await ask()
      await until(() => opened(a, 'expanded') === round + 2, 'it asks again')
      await until(() => dropped(a) === round + 2, 'and is refused')
    }
  })

  it('carries the class of its seed, and serves those alone who take it', async () => {
    const ways = [
      { trustClass: 'direct', relays: [] },
      { trustClass: 'relayed', relays: ['site-r'] },
      { trustClass: 'split', relays: ['site-r', 'site-s'] },
    ] as const
    const way = (number: bigint) => ways[Number((number >> 1n) % 3n)]!
    await using sites = await PoolPair.open({ virtual: both, way })
    sites.connect()
    const [a, b] = sites.sites
    for (const { trustClass } of [...ways, ...ways]) {
      const what = { pair, number: 2, sizeBytes: 32, suite: 5 as const, waitMs: 8000, trustClasses: [trustClass] }
      const keys = await a.pool.issue(what)
      expect(keys.map(key => key.trustClass)).to.deep.equal([trustClass, trustClass])
      await expectSame(keys, b)
    }
  })

  it('goes through new epochs of the pair secret: keys from before are fetched, those after are other ones', async () => {
    await using sites = await PoolPair.open({ virtual: both })
    sites.connect()
    const [a, b] = sites.sites
    const before = [...(await issue(a, 5, 3)), ...(await issue(a, 6, 3))]
    a.pool.refreshSecret()
    await until(() => [a, b].every(({ pool }) => pool.status().secret?.epoch === 1), 'both have another secret')
    const drawn = [...(await issue(a, 5, CELLS)), ...(await issue(a, 6, CELLS)), ...(await issue(b, 6, CELLS))]
    await expectSame(before, b)
    await expectSame(drawn.slice(0, 2 * CELLS), b)
    await expectSame(drawn.slice(2 * CELLS), a)
    expect(
      new Set([...before, ...drawn].map(({ secret }) => Buffer.from(exportKey(secret)).toString('hex'))).size,
    ).to.equal(6 + 3 * CELLS)
  })

  it('survives restarts of both sites: what was issued is fetched, what was under way is not lost', async () => {
    await using sites = await PoolPair.open({ virtual: both })
    sites.connect()
    const [a, b] = sites.sites
    for (const site of [0, 1] as const) {
      const keys = [...(await issue(a, 5, 3)), ...(await issue(a, 6, 3))]
      await sites.restart(site)
      sites.connect()
      await expectSame(keys, b)
    }
    await expectSame(await issue(a, 5, 10), b)
    await expectSame(await issue(a, 6, 10), b)
  })
})

function opened({ events }: PoolSite, kind: VirtualKind): number {
  return events.filter(event => event.type === 'block' && event.row === 30 && blockKind(BigInt(event.block)) === kind)
    .length
}

function dropped({ events }: PoolSite): number {
  return events.filter(
    event => event.type === 'block' && event.row === 29 && blockKind(BigInt(event.block)) !== 'network',
  ).length
}

function alarms({ events }: PoolSite) {
  return events.filter(event => event.type === 'alarm' && event.id.startsWith('virtual-block-refused'))
}
