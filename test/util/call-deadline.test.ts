import { getEventListeners } from 'node:events'
import { expect } from 'chai'
import { startDeadline } from '../../lib/util/call-deadline.ts'

describe('startDeadline', () => {
  it("aborts with the caller's reason, also where that came before", () => {
    const reason = new Error('no patience')
    const controller = new AbortController()
    using running = startDeadline(controller.signal, 60_000)
    expect(running.signal.aborted).to.equal(false)
    controller.abort(reason)
    expect(running.signal.reason).to.equal(reason)
    using late = startDeadline(controller.signal, 60_000)
    expect(late.signal.reason).to.equal(reason)
  })

  it('aborts with a TimeoutError when the time is over', async () => {
    // The deadline's own timer does not keep a process alive, so this one does.
    const alive = setTimeout(() => {}, 10_000)
    using deadline = startDeadline(undefined, 1)
    await new Promise(resolve => deadline.signal.addEventListener('abort', resolve))
    expect(deadline.signal.reason).to.deep.include({ name: 'TimeoutError' })
    clearTimeout(alive)
  })

  it('leaves no listener behind', () => {
    const { signal } = new AbortController()
    for (let n = 0; n < 3; n += 1) {
      using deadline = startDeadline(signal, 60_000)
      expect(deadline.signal.aborted).to.equal(false)
      expect(getEventListeners(signal, 'abort')).to.have.length(1)
    }
    expect(getEventListeners(signal, 'abort')).to.have.length(0)
  })
})
