import { expect } from 'chai'
import fc from 'fast-check'
import { exportKey } from '../../../lib/key/export-key.ts'
import { levelOf, type Suite } from '../../../lib/key/selection.ts'
import { PoolPair } from '../../helpers/pool-pair.ts'

const pair = { masterSaeId: 'alice', slaveSaeId: 'bob' }
const PIECE_BYTES = 16

describe('a pool that serves every level at once', function () {
  this.timeout(60_000)

  it('gives both sites the same key under each selection, and no two selections a piece in common', async () => {
    await using sites = await PoolPair.open({ virtual: { allows: () => true, cellsPerBlock: () => 64 } })
    sites.connect()
    const seen = new Set<string>()
    const wish = fc.record({
      from: fc.constantFrom<0 | 1>(0, 1),
      suite: fc.constantFrom<Suite>(1, 2, 3, 4, 5, 6),
      number: fc.integer({ min: 1, max: 4 }),
      sizeBytes: fc.integer({ min: PIECE_BYTES, max: 64 }),
    })
    const serve = async ({ from, suite, number, sizeBytes }: typeof wish extends fc.Arbitrary<infer T> ? T : never) => {
      const [issuer, retriever] = [sites.sites[from].pool, sites.sites[from === 0 ? 1 : 0].pool]
      const keys = await issuer.issue({ pair, number, sizeBytes, suite, waitMs: 8000 })
      const ids = keys.map(({ keyId }) => keyId)
      const same = await retriever.retrieve(pair, ids, { waitMs: 8000 })
      for (const [at, key] of keys.entries()) {
        expect(same[at]!.secret.equals(key.secret)).to.equal(true)
        expect([key.level, same[at]!.level]).to.deep.equal([levelOf(suite), levelOf(suite)])
        const bytes = Buffer.from(exportKey(key.secret))
        for (let from = 0; from + PIECE_BYTES <= bytes.length; from += PIECE_BYTES) {
          const piece = bytes.toString('hex', from, from + PIECE_BYTES)
          expect(seen.has(piece), 'two selections share a piece').to.equal(false)
          seen.add(piece)
        }
      }
    }
    await fc.assert(
      fc.asyncProperty(fc.array(wish, { minLength: 5, maxLength: 20 }), async wishes => {
        await Promise.all(wishes.map(serve))
      }),
      { numRuns: 25 },
    )
    expect(seen.size).to.be.greaterThan(500)
  })
})
