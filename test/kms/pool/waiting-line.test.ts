import { expect } from 'chai'
import type { QkdError } from '../../../lib/errors.ts'
import { type Held, WaitingLine } from '../../../lib/kms/pool/waiting-line.ts'
import { VirtualTimers } from '../../helpers/virtual-timers.ts'

interface Ask {
  readonly name: string
  readonly cells?: number
  readonly priority?: number
  readonly saeId?: string
  readonly waitMs?: number
  readonly signal?: AbortSignal
  /** Set: it is not served from this stock, for that reason. */
  readonly held?: Held
}

/** A line in front of a stock that a test fills, and the order in which it was served. */
class Counter {
  readonly timers = new VirtualTimers()
  readonly line = new WaitingLine({ timers: this.timers })
  readonly served: string[] = []
  stock = 0
  attempts = 0

  ask({
    name,
    cells = 1,
    priority = 0,
    saeId = name,
    waitMs = 10_000,
    signal,
    held,
  }: Ask): Promise<string | undefined> {
    const attempt = () => {
      this.attempts += 1
      if (held !== undefined || this.stock < cells) return undefined
      this.stock -= cells
      this.served.push(name)
      return name
    }
    const need = { cells, contiguous: cells }
    const options = { need, priority, saeId, waitMs, heldBy: () => held, ...(signal && { signal }) }
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

  it('lets nobody wait for one who takes none of what there is', () => {
    const counter = new Counter()
    counter.queue({ name: 'of a class that is not here', priority: 9, held: 'class' })
    expect(counter.line.isBefore(0)).to.equal(false)
    counter.queue({ name: 'any' })
    counter.bring(1)
    expect(counter.served).to.deep.equal(['any'])
  })

  it('gives a reserve to those it is for, however often they pass one who has to leave it', () => {
    const counter = new Counter()
    counter.queue({ name: 'has to leave it', held: 'reserve' })
    for (let n = 0; n < 40; n += 1) {
      counter.queue({ name: `${n}`, priority: 9 })
      counter.bring(1)
    }
    expect(counter.served).to.have.length(40)
    expect([0, 9].map(priority => counter.line.isBefore(priority))).to.deep.equal([true, false])
  })

  it('leaves nothing behind of a wait that is given up, and ends each at its own time', async () => {
    const counter = new Counter()
    const abort = new AbortController()
    const given = counter.ask({ name: 'given up', signal: abort.signal })
    const over = counter.ask({ name: 'over', waitMs: 5 })
    const held = counter.ask({ name: 'held' })
    abort.abort(new Error('gone'))
    counter.timers.moveTo(5)
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

  it('lets no host fill the line for the others', async () => {
    const counter = new Counter()
    for (let n = 0; n < 1_000; n += 1) counter.queue({ name: `greedy ${n}`, saeId: 'greedy' })
    const refusal = await counter.ask({ name: 'one more', saeId: 'greedy' }).catch((error: QkdError) => error)
    expect(refusal).to.include({ code: 'ERR_QKD_POOL_EXHAUSTED' })
    counter.queue({ name: 'modest' })
    counter.bring(2)
    expect(counter.served).to.deep.equal(['greedy 0', 'modest'])
    counter.line.fail(new Error('closed'))
  })

  it('serves those first who are not late yet, and the late ones from what is left, oldest first', () => {
    const counter = new Counter()
    counter.queue({ name: 'late 1' })
    counter.queue({ name: 'late 2' })
    counter.timers.moveTo(150)
    counter.queue({ name: 'prompt 1' })
    counter.queue({ name: 'prompt 2' })
    counter.bring(3)
    expect(counter.served).to.deep.equal(['prompt 1', 'prompt 2', 'late 1'])
    counter.queue({ name: 'lower', priority: 0 })
    counter.bring(2)
    expect(counter.served.slice(3)).to.deep.equal(['lower', 'late 2'])
  })

  it('lets no prompt request of a lower priority pass a late one of a higher', () => {
    const counter = new Counter()
    counter.queue({ name: 'late, high', priority: 5 })
    counter.timers.moveTo(150)
    counter.queue({ name: 'prompt, low' })
    counter.bring(1)
    expect(counter.served).to.deep.equal(['late, high'])
  })

  it('starves no late request: after 512 prompt ones it goes first', () => {
    const counter = new Counter()
    counter.queue({ name: 'late', waitMs: 60_000 })
    counter.timers.moveTo(150)
    for (let n = 0; n < 600; n += 1) {
      counter.queue({ name: `prompt ${n}` })
      counter.bring(1)
    }
    expect(counter.served.indexOf('late')).to.equal(512)
  })

  it('starts no stampede when key comes back: those who cannot be served are not tried', () => {
    const counter = new Counter()
    for (let n = 0; n < 1_000; n += 1) counter.queue({ name: `${n}` })
    counter.bring(3)
    expect(counter.served).to.have.length(3)
    expect(counter.attempts).to.equal(4)
    counter.bring(0)
    expect(counter.attempts).to.equal(5)
    counter.line.fail(new Error('closed'))
  })

  it('lets no cancelled or expired wait take anything, also where it ends as key comes', async () => {
    const counter = new Counter()
    const aborts = Array.from({ length: 100 }, () => new AbortController())
    const waits = aborts.map(({ signal }, n) =>
      counter.ask({ name: `${n}`, signal, waitMs: n % 2 === 0 ? 50 : 10_000 }),
    )
    for (const [n, abort] of aborts.entries()) if (n % 4 === 1) abort.abort(new Error('gone'))
    counter.timers.moveTo(50)
    counter.bring(100)
    const results = await Promise.allSettled(waits)
    expect(counter.served).to.deep.equal(Array.from({ length: 25 }, (_, n) => `${4 * n + 3}`))
    expect(counter.stock).to.equal(75)
    expect(counter.line.length).to.equal(0)
    expect(results.filter(({ status }) => status === 'rejected')).to.have.length(25)
    expect(results.filter(result => result.status === 'fulfilled' && result.value === undefined)).to.have.length(50)
  })
})
