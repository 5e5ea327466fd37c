import { expect } from 'chai'
import type { Key } from '../../../lib/interface/kms.ts'
import { exportKey } from '../../../lib/key/export-key.ts'
import type { SecretKey } from '../../../lib/key/secret-key.ts'
import type { Suite } from '../../../lib/key/selection.ts'
import { PoolPair } from '../../helpers/pool-pair.ts'

const pair = { masterSaeId: 'alice', slaveSaeId: 'bob' }

/** Two sites whose every cell a relay has seen, and the keys of one suite that both sides got. */
async function keysUnderWatch(
  suite: Suite,
  sizeBytes: number,
): Promise<{ given: Key[]; same: Key[]; seen: Set<string> }> {
  const seen = new Set<string>()
  await using sites = await PoolPair.open({
    tamper: block => {
      const bytes = copyOf(block.secret)
      for (let at = 0; at < bytes.length; at += 32) seen.add(bytes.toString('hex', at, at + sizeBytes))
      return block
    },
  })
  sites.connect()
  const [a, b] = [sites.sites[0].pool, sites.sites[1].pool]
  const given = await a.issue({ pair, number: 20, sizeBytes, suite, waitMs: 8000 })
  const ids = given.map(({ keyId }) => keyId)
  return { given, same: await b.retrieve(pair, ids, { waitMs: 8000 }), seen }
}

/** What an adversary inside the process would read. */
function copyOf(secret: SecretKey): Buffer {
  return Buffer.from(exportKey(secret))
}

describe('hybrid keys', () => {
  for (const suite of [3, 4] as const) {
    it(`are the same at both ends and unknown to a relay that saw every cell (suite ${suite})`, async () => {
      const { given, same, seen } = await keysUnderWatch(suite, 32)
      given.forEach((key, at) => {
        expect(same[at]!.secret.equals(key.secret)).to.equal(true)
        expect([key.level, same[at]!.level]).to.deep.equal(['hybrid', 'hybrid'])
        expect(seen.has(copyOf(key.secret).toString('hex'))).to.equal(false)
      })
      expect(seen.size).to.be.at.least(1000)
    })
  }

  it('are what makes the difference: a quantum key is what the relay saw', async () => {
    const { given, seen } = await keysUnderWatch(2, 32)
    for (const key of given) expect(seen.has(copyOf(key.secret).toString('hex'))).to.equal(true)
  })

  it('come in odd sizes too', async () => {
    for (const [suite, sizeBytes] of [
      [3, 1],
      [3, 500],
      [4, 33],
      [4, 64],
    ] as const) {
      const { given, same } = await keysUnderWatch(suite, sizeBytes)
      expect(
        given.every((key, at) => key.secret.sizeBytes === sizeBytes && same[at]!.secret.equals(key.secret)),
      ).to.equal(true)
    }
  })
})
