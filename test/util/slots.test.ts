import { expect } from 'chai'
import { Slots } from '../../lib/util/slots.ts'

describe('Slots', () => {
  it('gives out as many as there are, and hands each on in order', async () => {
    const slots = new Slots(2)
    await slots.acquire()
    expect(slots.tryAcquire()).to.equal(true)
    expect(slots.tryAcquire()).to.equal(false)
    const order: number[] = []
    const waiting = [1, 2, 3].map(async n => {
      await slots.acquire()
      order.push(n)
    })
    slots.release()
    await waiting[0]
    slots.release()
    await waiting[1]
    slots.release()
    await waiting[2]
    expect(order).to.deep.equal([1, 2, 3])
    slots.release()
    slots.release()
    expect([slots.tryAcquire(), slots.tryAcquire(), slots.tryAcquire()]).to.deep.equal([true, true, false])
  })

  it('takes nothing for a wait that was aborted', async () => {
    const slots = new Slots(1)
    await slots.acquire()
    const controller = new AbortController()
    const reason = new Error('no patience')
    const waiting = slots.acquire({ signal: controller.signal }).catch((error: unknown) => error)
    controller.abort(reason)
    expect(await waiting).to.equal(reason)
    slots.release()
    expect(await slots.acquire({ signal: controller.signal }).catch((error: unknown) => error)).to.equal(reason)
    expect(slots.tryAcquire()).to.equal(true)
  })
})
