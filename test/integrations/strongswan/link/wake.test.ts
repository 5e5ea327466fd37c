import { expect } from 'chai'
import { Wake } from '../../../../integrations/strongswan/link/wake.ts'

describe('Wake', () => {
  it('ends a sleep, or the next one', async () => {
    const wake = new Wake()
    const sleeping = wake.sleep(Number.POSITIVE_INFINITY)
    wake.call()
    await sleeping
    wake.call()
    await wake.sleep(Number.POSITIVE_INFINITY)
    await wake.sleep(1)
  })

  it('is ended by a signal, with its reason', async () => {
    const outcome = await new Wake()
      .sleep(60_000, { signal: AbortSignal.abort('stop') })
      .catch((error: unknown) => error)
    expect(outcome).to.equal('stop')
  })
})
