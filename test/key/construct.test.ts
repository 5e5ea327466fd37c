import { readFileSync } from 'node:fs'
import { expect } from 'chai'
import fc from 'fast-check'
import { deriveBlockSecret, hybridByKdf, hybridByXor, type KeyContext } from '../../lib/key/construct.ts'
import { lp } from '../../lib/key/lp.ts'
import { SecretKey } from '../../lib/key/secret-key.ts'
import { rejectsWith } from '../helpers/rejects-with.ts'

interface Vector {
  readonly suite: 3 | 4
  readonly sizeBytes: number
  readonly block: string
  readonly offset: number
  readonly trustClass: KeyContext['trustClass']
  readonly epoch: number
  readonly cells: string
  readonly blockSecret: string
  readonly key: string
}

const vectors: {
  root: string
  siteIds: [string, string]
  issuer: string
  master: string
  slave: string
  keys: Vector[]
} = JSON.parse(readFileSync(new URL('../vectors/hybrid-keys.json', import.meta.url), 'utf8'))

const secret = (hex: string) => SecretKey.adopt(Buffer.from(hex, 'hex'))
const poolId = lp(...vectors.siteIds)

function contextOf({ suite, sizeBytes, block, offset, trustClass }: Vector): KeyContext {
  return {
    poolId,
    issuerSiteId: vectors.issuer,
    pair: { masterSaeId: vectors.master, slaveSaeId: vectors.slave },
    trustClass,
    selection: { suite, block: BigInt(block), offset, sizeBytes },
  }
}

describe('key construction', () => {
  for (const vector of vectors.keys) {
    const { suite, sizeBytes, block, trustClass, epoch } = vector

    it(`gives the known key of suite ${suite}, ${sizeBytes} bytes, ${trustClass}`, () => {
      const own = deriveBlockSecret(secret(vectors.root), { poolId, block: BigInt(block), trustClass, epoch })
      expect(own.equals(secret(vector.blockSecret))).to.equal(true)
      const context = contextOf(vector)
      const key =
        suite === 3
          ? hybridByXor(secret(vector.cells.slice(0, sizeBytes * 2)), own, context)
          : hybridByKdf(secret(vector.cells), own, context)
      expect(key.equals(secret(vector.key))).to.equal(true)
    })
  }

  for (const [name, combine, suite] of [
    ['hybridByXor', hybridByXor, 3],
    ['hybridByKdf', hybridByKdf, 4],
  ] as const) {
    it(`${name}: no two contexts share a derivation, even over the same cells`, () => {
      const [cells, blockSecret] = [SecretKey.random(32), SecretKey.random(64)]
      const changes = fc.record({
        issuerSiteId: fc.constantFrom('site-a', 'site-b'),
        trustClass: fc.constantFrom('direct', 'split', 'relayed', 'post-quantum'),
        pair: fc.record({ masterSaeId: fc.constantFrom('a', 'ab'), slaveSaeId: fc.constantFrom('bc', 'c') }),
        selection: fc.record({
          suite: fc.constant(suite),
          block: fc.constantFrom(1n, 2n, 1n << 32n),
          offset: fc.constantFrom(0, 1, 256),
          sizeBytes: fc.constant(32),
        }),
      })
      const print = (value: unknown) =>
        JSON.stringify(value, (_, part) => (typeof part === 'bigint' ? `${part}` : part))
      fc.assert(
        fc.property(changes, changes, (one, other) => {
          const [a, b] = [one, other].map(context =>
            combine(cells, blockSecret, { poolId, ...context } as KeyContext),
          ) as [SecretKey, SecretKey]
          expect(a.equals(b)).to.equal(print(one) === print(other))
        }),
        { numRuns: 300 },
      )
    })
  }

  it('changes every byte of the key with the block secret, and with the cells', () => {
    const context = contextOf(vectors.keys[0]!)
    const [cells, blockSecret] = [SecretKey.random(32), SecretKey.random(64)]
    for (const combine of [hybridByXor, hybridByKdf]) {
      const key = combine(cells, blockSecret, context)
      expect(key.equals(combine(cells, SecretKey.random(64), context))).to.equal(false)
      expect(key.equals(combine(SecretKey.random(32), blockSecret, context))).to.equal(false)
      expect(key.equals(cells)).to.equal(false)
    }
  })

  it('refuses keys that would be expansions', async () => {
    const context = contextOf(vectors.keys[3]!)
    const long = { ...context, selection: { ...context.selection, sizeBytes: 65 } }
    await rejectsWith(
      (async () => hybridByKdf(SecretKey.random(96), SecretKey.random(64), long))(),
      'ERR_QKD_INVALID_ARGUMENT',
    )
    await rejectsWith(
      (async () => hybridByXor(SecretKey.random(16_352), SecretKey.random(64), context))(),
      'ERR_QKD_INVALID_ARGUMENT',
    )
  })
})
