import { requireCharon } from '../../../helpers/charon-pair.ts'
import { mishaps, survive } from '../../../helpers/ipsec-mishaps.ts'

/** Rounds here; `npm run soak -- ipsec` does twenty of each. */
const ROUNDS = 2

describe('IpsecAgent comes right by itself when', function () {
  this.timeout(120_000)
  before(function () {
    requireCharon(this)
  })

  for (const mishap of mishaps) it(mishap.name, () => survive(mishap, ROUNDS))
})
