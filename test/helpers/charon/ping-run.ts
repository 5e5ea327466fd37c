import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { until } from '../until.ts'
import type { Namespace } from './namespace-pair.ts'

/** What became of the pings of one run. */
export interface PingReport {
  readonly sent: number
  readonly received: number
  /** Without the last ping, whose answer may have been under way. */
  readonly lost: number
  /** The most pings lost one after the other. */
  readonly longestLoss: number
  /** The longest time without an answer, in milliseconds; the interval where nothing was lost. */
  readonly longestGapMs: number
  /** Pings lost between each `mark()` and the next, the last up to the end. */
  readonly lostAfterMarks: readonly number[]
}

/** Sequence numbers of ICMP have 16 bits: a run must end before. */
const MAX_PINGS = 65_535

/** `fping` from one end of the tunnel to the other in even steps; `ping` waits in steps of a kernel tick. */
export class PingRun {
  readonly #child: ChildProcess
  readonly #intervalMs: number
  /** Arrival of each answer by its number, in milliseconds. */
  readonly #answers = new Map<number, number>()
  readonly #marks: number[] = []
  #errors = ''
  #last = -1
  #timedOut = 0
  #highest = -1

  private constructor(child: ChildProcess, intervalMs: number) {
    this.#child = child
    this.#intervalMs = intervalMs
    child.stderr!.setEncoding('utf8').on('data', (text: string) => {
      this.#errors = (this.#errors + text).slice(-10_000)
    })
    createInterface({ input: child.stdout! }).on('line', line => this.#take(line))
  }

  /** Begins to ping, and resolves when the first answer is there. */
  static async start(from: Namespace, to: Namespace, { intervalMs = 10 } = {}): Promise<PingRun> {
    // It ends with this process, however that ends.
    const inside = ['netns', 'exec', from.name, 'setpriv', '--pdeathsig', 'KILL']
    const args = [...inside, 'fping', '-l', '-D', '-p', String(intervalMs), '-t', '1000']
    const child = spawn('ip', [...args, '-S', from.innerAddress, to.innerAddress], {
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    const ping = new PingRun(child, intervalMs)
    try {
      await until(() => ping.received > 0, `a first answer from ${to.innerAddress}: ${ping.#errors}`)
    } catch (error) {
      await ping.kill()
      throw error
    }
    return ping
  }

  /** Answers so far. */
  get received(): number {
    return this.#answers.size
  }

  /** Pings that had no answer within a second, so far. */
  get timedOut(): number {
    return this.#timedOut
  }

  /** From here on losses count for the next step. */
  mark(): void {
    this.#marks.push(this.#last + 1)
  }

  /** Resolves when an answer to a ping sent from now on is there. */
  async flows({ timeoutMs = 10_000 } = {}): Promise<void> {
    const before = this.received
    // The second, because the first may have been under way.
    await until(() => this.received > before + 1, 'traffic through the tunnel', { timeoutMs })
  }

  /** Ends the run and counts. */
  async stop(): Promise<PingReport> {
    const endedMs = Date.now()
    const exited = once(this.#child, 'close')
    this.#child.kill('SIGINT')
    await exited
    const sent = Number(/xmt\/rcv\/%loss = (\d+)\//.exec(this.#errors)?.[1])
    if (!Number.isInteger(sent) || sent > MAX_PINGS) throw new Error(`fping said no usable count: ${this.#errors}`)
    // A ping that the system did not take has a number and is not among those that fping counts as sent.
    return this.#report(Math.max(sent, this.#highest + 1), endedMs)
  }

  /** Ends the run whatever it has found. */
  async kill(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return
    const exited = once(this.#child, 'close')
    this.#child.kill('SIGKILL')
    await exited
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill()
  }

  #take(line: string): void {
    const match = /^\[([\d.]+)\] \S+ : \[(\d+)\], (timed out)?/.exec(line)
    if (match === null) return
    this.#highest = Math.max(this.#highest, Number(match[2]))
    if (match[3] !== undefined) {
      this.#timedOut += 1
      return
    }
    this.#last = Math.max(this.#last, Number(match[2]))
    this.#answers.set(Number(match[2]), Number(match[1]) * 1000)
  }

  #report(sent: number, endedMs: number): PingReport {
    const lost: number[] = []
    for (let number = 0; number < sent - 1; number += 1) if (!this.#answers.has(number)) lost.push(number)
    let [run, longestLoss] = [0, 0]
    lost.forEach((number, at) => {
      run = number === lost[at - 1]! + 1 ? run + 1 : 1
      longestLoss = Math.max(longestLoss, run)
    })
    const arrivals = [...this.#answers.values()].sort((x, y) => x - y)
    const gaps = [...arrivals.slice(1), endedMs].map((arrival, at) => arrival - arrivals[at]!)
    const lostAfterMarks = this.#marks.map(
      (from, at) => lost.filter(number => number >= from && number < (this.#marks[at + 1] ?? sent)).length,
    )
    const longestGapMs = Math.max(this.#intervalMs, ...gaps)
    return { sent, received: this.#answers.size, lost: lost.length, longestLoss, longestGapMs, lostAfterMarks }
  }
}
