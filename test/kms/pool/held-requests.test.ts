import { expect } from 'chai'
import type { QkdError } from '../../../lib/errors.ts'
import type { IssueRequest } from '../../../lib/kms/pool/issuer.ts'
import { PoolPair, type PoolPairOptions } from '../../helpers/pool-pair.ts'
import { until } from '../../helpers/until.ts'

const ask: IssueRequest = {
  pair: { masterSaeId: 'alice', slaveSaeId: 'bob' },
  number: 1,
  sizeBytes: 32,
  suite: 2,
  waitMs: 8000,
}
const HELD_MS = 2500
/** What a pool leases ahead and wastes at rest, with room for what lies between two looks. */
const MAX_CELLS = 200

/** Asks for what the full pool does not give, and meanwhile for what it does. */
async function waitBeside(held: Partial<IssueRequest>, options: PoolPairOptions = {}) {
  await using sites = await PoolPair.open(options)
  sites.connect()
  const [{ pool, events }] = sites.sites
  await until(() => pool.status().issuableCells > 2000, 'the pool has a stock')
  const waiting = pool.issue({ ...ask, ...held, waitMs: HELD_MS }).catch((error: QkdError) => error.code)
  let isOver = false
  void waiting.then(() => {
    isOver = true
  })
  await until(() => pool.status().waitingRequests > 0, 'it waits')
  for (let n = 0; n < 20; n += 1) await pool.issue({ ...ask, priority: 5 })
  expect(isOver, 'the others were served first').to.equal(false)
  expect(await waiting).to.equal('ERR_QKD_POOL_EXHAUSTED')
  const { leasedCells } = pool.status()
  const burned = events.reduce((sum, event) => sum + (event.type === 'cells-burned' ? event.cells : 0), 0)
  expect(leasedCells).to.be.lessThan(MAX_CELLS)
  expect(burned).to.be.lessThan(MAX_CELLS)
}

describe('requests that a full pool does not serve', function () {
  this.timeout(30_000)
  const relayed: PoolPairOptions = { way: () => ({ trustClass: 'relayed', relays: ['relay'] }) }

  it('lease nothing, burn nothing and hold nobody up: of a class that is not there', async () => {
    await waitBeside({ trustClasses: ['direct'] }, relayed)
  })

  it('lease nothing, burn nothing and hold nobody up: of level expanded, from seeds of a class that is not there', async () => {
    const virtual = { allows: () => true, cellsPerBlock: () => 64 }
    await waitBeside({ suite: 5, trustClasses: ['direct'] }, { ...relayed, virtual })
  })

  it('lease nothing, burn nothing and hold nobody up: above a reserve', async () => {
    await waitBeside({ reservedCells: 1_000_000 })
  })
})
