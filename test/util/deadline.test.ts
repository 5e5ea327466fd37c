import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { expect } from 'chai'
import { eitherSignal, withDeadline } from '../../lib/util/deadline.ts'

setFlagsFromString('--expose-gc')
const collectGarbage: () => void = runInNewContext('gc')

/** Waits of which nobody holds more than the listener, as an `await` does. */
function countAborts(count: number, signalOf: () => AbortSignal) {
  const all = { aborted: 0 }
  for (let at = 0; at < count; at++) signalOf().addEventListener('abort', () => all.aborted++)
  return all
}

async function passes(condition: () => boolean): Promise<void> {
  const endsAt = Date.now() + 10_000
  while (!condition() && Date.now() < endsAt) {
    collectGarbage()
    await new Promise(resolve => setTimeout(resolve, 10))
  }
}

describe('withDeadline', () => {
  const stop = new AbortController()

  for (const [name, signalOf] of Object.entries({
    alone: () => withDeadline(undefined, 50),
    'beside a signal': () => withDeadline(stop.signal, 50),
    'within another one': () => withDeadline(withDeadline(stop.signal, 50), 60_000),
    "beside a caller's timeout": () => eitherSignal(stop.signal, AbortSignal.timeout(50)),
  })) {
    it(`ends every wait ${name}, whatever the garbage collector takes`, async () => {
      const all = countAborts(100, signalOf)
      await passes(() => all.aborted === 100)
      expect(all.aborted).to.equal(100)
    })
  }

  it('aborts with the reason of the signal', () => {
    const given = new AbortController()
    const signal = withDeadline(given.signal, 60_000)
    given.abort(new Error('stopped'))
    expect(signal.reason).to.have.property('message', 'stopped')
  })
})
