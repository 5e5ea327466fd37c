import { expect } from 'chai'
import { WaitingLine } from '../../../lib/kms/pool/waiting-line.ts'

interface Ask {
  readonly name: string
  readonly cells?: number
  readonly priority?: number
  readonly saeId?: string
  readonly waitMs?: number
  readonly signal?: AbortSignal
}

/** A line in front of a stock that a test fills, and the order in which it was served. */
class Counter {
  readonly line = new WaitingLine()
  readonly served: string[] = []
  stock = 0

  ask({ name, cells = 1, priority = 0, saeId = name, waitMs = 10_000, signal }: Ask): Promise<string | undefined> {
    const attempt = () => {
      if (this.stock < cells) return undefined
      this.stock -= cells
      this.served.push(name)
      return name
    }
    const options = { need: { cells, contiguous: cells }, priority, saeId, waitMs, ...(signal && { signal }) }
    const waiting = this.line.wait(attempt, options)
    waiting.catch(() => {})
    return waiting
  }

  queue(ask: Ask): void {
    this.ask(ask).catch(() => {})
  }

  bring(cells: number): void {
    this.stock += cells
    this.line.serve()
  }
}

describe('WaitingLine', () => {
  it('serves higher priority first, and within one the nearest deadline', () => {
    const counter = new Counter()
    counter.queue({ name: 'low' })
    counter.queue({ name: 'late', priority: 5, waitMs: 9_000 })
    counter.queue({ name: 'soon', priority: 5, waitMs: 5_000 })
    counter.queue({ name: 'high', priority: 9 })
    counter.bring(4)
    expect(counter.served).to.deep.equal(['high', 'soon', 'late', 'low'])
  })

  it('lets hosts take turns, however many requests one of them makes', () => {
    const counter = new Counter()
    for (const name of ['greedy 1', 'greedy 2', 'greedy 3']) counter.queue({ name, saeId: 'greedy', waitMs: 1_000 })
    counter.queue({ name: 'modest' })
    counter.bring(4)
    expect(counter.served).to.deep.equal(['greedy 1', 'modest', 'greedy 2', 'greedy 3'])
  })

  it('lets smaller requests of the same priority pass a larger one, but only so often', () => {
    const counter = new Counter()
    counter.queue({ name: 'large', cells: 10 })
    for (let n = 0; n < 40; n += 1) {
      counter.queue({ name: `small ${n}` })
      counter.bring(1)
    }
    expect(counter.served.indexOf('large')).to.equal(16)
  })

  it('lets nobody of a lower priority pass a large request of a higher one', () => {
    const counter = new Counter()
    counter.queue({ name: 'large', cells: 10, priority: 3 })
    counter.queue({ name: 'small' })
    counter.bring(9)
    expect(counter.served).to.deep.equal([])
    counter.bring(2)
    expect(counter.served).to.deep.equal(['large', 'small'])
  })

  it('starves nobody: a low request goes first once it was passed often enough', () => {
    const counter = new Counter()
    counter.queue({ name: 'low' })
    for (let n = 0; n < 20; n += 1) {
      counter.queue({ name: `high ${n}`, priority: 9 })
      counter.bring(1)
    }
    expect(counter.served.indexOf('low')).to.equal(16)
  })

  it('leaves nothing behind of a wait that is given up, and ends each at its own time', async () => {
    const counter = new Counter()
    const abort = new AbortController()
    const given = counter.ask({ name: 'given up', signal: abort.signal })
    const over = counter.ask({ name: 'over', waitMs: 5 })
    const held = counter.ask({ name: 'held' })
    abort.abort(new Error('gone'))
    expect(await given.catch((error: Error) => error.message)).to.equal('gone')
    expect(await over).to.equal(undefined)
    counter.bring(5)
    expect(await held).to.equal('held')
    expect(counter.stock).to.equal(4)
    expect(counter.line.length).to.equal(0)
  })

  it('knows whether somebody goes before a new request', () => {
    const counter = new Counter()
    expect(counter.line.isBefore(0)).to.equal(false)
    counter.queue({ name: 'middle', priority: 5 })
    expect([4, 5, 6].map(priority => counter.line.isBefore(priority))).to.deep.equal([true, true, false])
  })

  it('refuses what it cannot hold', async () => {
    const counter = new Counter()
    for (let n = 0; n < 10_000; n += 1) counter.queue({ name: `${n}` })
    const refusal = await counter.ask({ name: 'one more' }).catch((error: { code: string }) => error.code)
    expect(refusal).to.equal('ERR_QKD_POOL_EXHAUSTED')
    counter.line.fail(new Error('closed'))
    expect(counter.line.length).to.equal(0)
  })
})
