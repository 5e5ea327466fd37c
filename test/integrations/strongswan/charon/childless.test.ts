import { expect } from 'chai'
import { requireCharon } from '../../../helpers/charon-pair.ts'
import { createIpsecPair, keysInTheOpen, repeatedIds } from '../../../helpers/ipsec-pair.ts'
import { until } from '../../../helpers/until.ts'

/** For machines without a TUN device: no traffic, so that it is no test of the tunnel. */
const childless = { charon: { childless: true }, connection: { children: [] } }

describe('IpsecAgent without children', function () {
  this.timeout(60_000)
  before(function () {
    requireCharon(this, { childless: true })
  })

  for (const mode of ['ppk', 'psk'] as const) {
    it(`keeps an IKE_SA alone on fresh keys, in mode ${mode}`, async () => {
      const connection = { ...childless.connection, mode }
      await using pair = await createIpsecPair({ ...childless, connection })
      await pair.start()
      for (let round = 0; round < 3; round += 1) await pair.rotate()
      for (const gateway of [pair.a, pair.b]) {
        expect((await gateway.charon.sas()).map(({ state, ppk }) => [state, ppk])).to.deep.equal([
          ['ESTABLISHED', mode === 'ppk'],
        ])
        expect(gateway.seen('rotation-failed')).to.deep.equal([])
      }
      expect(await repeatedIds(pair)).to.deep.equal([])
      expect(await keysInTheOpen(pair)).to.deep.equal([])
    })
  }

  it('comes right after the charon at either end was killed', async () => {
    await using pair = await createIpsecPair(childless)
    await pair.start()
    for (const end of ['a', 'b'] as const) {
      const before = pair.b.seen('rotated').length
      await pair.charons[end].restart({ kill: true })
      await until(() => pair.b.seen('rotated').length > before, 'a rotation without an operator')
    }
  })
})
