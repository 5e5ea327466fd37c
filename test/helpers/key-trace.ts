import { createHash } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'
import type { QkdError } from '../../lib/errors.ts'
import type { Key, Kms } from '../../lib/interface/kms.ts'

/** One direction of the traffic: who draws keys, and who fetches them. */
export interface TraceLane {
  readonly master: Kms
  readonly slave: Kms
}

export interface TraceOptions {
  readonly lanes: readonly TraceLane[]
  /** Keys to draw in all. */
  readonly keys: number
  /** Share of the key_IDs that never reach the other side, 0 to 1. */
  readonly lossRatio: number
  /** Share of the others that come twice, at once or one after the other: the second must be refused. Default 0. */
  readonly duplicateRatio?: number
  /** Draws at a time in each lane. Default 16. */
  readonly concurrency?: number
  /** Keys that one call draws; each is then a handshake of its own. Default 1. */
  readonly keysPerDraw?: number
  /** Numbers from 0 to 1. Default `Math.random`. */
  readonly random?: () => number
  /** True while sites are being killed: calls that get no answer are then part of the run. */
  readonly hostile?: boolean
  /** True while stores are put back to older copies: keys that were drawn before may then be refused. Default false. */
  readonly mayLose?: boolean
  readonly signal?: AbortSignal
  readonly onProgress?: (drawn: number) => void
}

/** What a trace saw. Everything but the first group must be 0. */
export interface TraceReport {
  drawn: number
  fetched: number
  dropped: number
  /** Key_IDs that were presented twice. */
  duplicated: number
  /** Keys that went with a store which was put back. */
  lost: number
  /** Answers that a killed process did not give: the key is burned, as the contract says. */
  lostAnswers: number
  /** Fetched bytes that were not the drawn ones. */
  wrong: number
  /** Keys or key_IDs that came twice to one side. */
  twice: number
  /** Fetches of live keys that were refused. */
  refused: number
  /** The first few of what went wrong, in words. */
  readonly faults: string[]
}

/** How an attempt to fetch ended; anything else is in words. */
type Outcome = 'delivered' | 'not found' | 'answer lost' | (string & {})

interface Drawn {
  readonly lane: TraceLane
  readonly keyId: string
  readonly digest: string
}

/** Keys in flight wait here and leave in random order. */
const SHUFFLE_DEPTH = 64
const RETRY_MS = 50
const MAX_TRIES = 400

/**
 * Draws keys in all lanes at once and fetches them at the other side in random order, losing some key_IDs on the way:
 * the traffic under which the two ends of a pool must stay in step.
 */
export async function runTrace(options: TraceOptions): Promise<TraceReport> {
  const trace = new Trace(options)
  const { lanes, keys, concurrency = 16 } = options
  await Promise.all(
    lanes.flatMap(lane =>
      Array.from({ length: concurrency }, () => trace.work(lane, Math.ceil(keys / lanes.length / concurrency))),
    ),
  )
  await trace.drain()
  return trace.report
}

class Trace {
  readonly report: TraceReport = {
    drawn: 0,
    fetched: 0,
    dropped: 0,
    duplicated: 0,
    lost: 0,
    lostAnswers: 0,
    wrong: 0,
    twice: 0,
    refused: 0,
    faults: [],
  }
  readonly #options: TraceOptions
  readonly #random: () => number
  readonly #waiting: Drawn[] = []
  readonly #seen = new Map<Kms, Set<string>>()

  constructor(options: TraceOptions) {
    this.#options = options
    this.#random = options.random ?? Math.random
  }

  async work(lane: TraceLane, keys: number): Promise<void> {
    const { signal, keysPerDraw = 1 } = this.#options
    for (let i = 0; i < keys && signal?.aborted !== true; i += keysPerDraw) {
      for (const key of await this.#draw(lane, keysPerDraw)) await this.#send(key)
    }
  }

  /** The handshake sets out, after others that were sent before and have not arrived. */
  async #send(key: Drawn): Promise<void> {
    const { lossRatio, onProgress } = this.#options
    this.report.drawn++
    onProgress?.(this.report.drawn)
    if (this.#random() < lossRatio) this.report.dropped++
    else this.#waiting.push(key)
    if (this.#waiting.length > SHUFFLE_DEPTH) await this.#fetch(this.#pick())
  }

  async drain(): Promise<void> {
    const workers = Array.from({ length: this.#options.concurrency ?? 16 }, async () => {
      while (this.#waiting.length > 0) await this.#fetch(this.#pick())
    })
    await Promise.all(workers)
  }

  #pick(): Drawn {
    const at = Math.floor(this.#random() * this.#waiting.length)
    const last = this.#waiting.pop()!
    if (at >= this.#waiting.length) return last
    const picked = this.#waiting[at]!
    this.#waiting[at] = last
    return picked
  }

  async #draw(lane: TraceLane, number: number): Promise<Drawn[]> {
    for (let tries = 0; tries < MAX_TRIES && this.#options.signal?.aborted !== true; tries++) {
      try {
        const keys = await lane.master.getKey(lane.slave.saeId, { number })
        return keys.map(key => ({ lane, keyId: key.keyId, digest: this.#note(lane.master, key) }))
      } catch (error) {
        // Drawing again draws another key: what a lost answer held is burned, and nobody waits for it.
        if (!this.#isTransient(error)) throw error
        await pause(RETRY_MS)
      }
    }
    return []
  }

  /** One handshake: the key_ID arrives once, or twice. */
  async #fetch(key: Drawn): Promise<void> {
    const { duplicateRatio = 0, mayLose = false } = this.#options
    const outcomes: Outcome[] = []
    if (this.#random() >= duplicateRatio) outcomes.push(await this.#present(key))
    else {
      this.report.duplicated++
      const first = this.#present(key)
      if (this.#random() < 0.5) await first
      outcomes.push(...(await Promise.all([first, this.#present(key)])))
    }
    if (outcomes.includes('delivered')) return
    if (outcomes.includes('answer lost')) this.report.lostAnswers++
    else if (mayLose && outcomes[0] === 'not found') this.report.lost++
    else this.#fault('refused', `${key.keyId}: ${outcomes[0]}`)
  }

  /** Asks for a key until there is an answer: `not found`, or what else was said of it. */
  async #present({ lane, keyId, digest }: Drawn): Promise<Outcome> {
    let answerLost = false
    for (let tries = 0; tries < MAX_TRIES; tries++) {
      try {
        const [key] = await lane.slave.getKeyWithIds(lane.master.saeId, [keyId])
        this.report.fetched++
        if (this.#note(lane.slave, key!) !== digest || key!.keyId !== keyId)
          this.#fault('wrong', `${keyId} has other bytes`)
        return 'delivered'
      } catch (error) {
        const { code, details = [] } = error as QkdError
        if (code === 'ERR_QKD_KEY_NOT_FOUND') return answerLost ? 'answer lost' : 'not found'
        if (!this.#isTransient(error)) return `${code ?? ''} ${(error as Error).message}`
        answerLost ||= details[0]?.sent !== false && code !== 'ERR_QKD_POOL_DESYNC'
        await pause(RETRY_MS)
      }
    }
    return `no answer in ${MAX_TRIES} tries`
  }

  /** Notes a delivered key at its side and gives its digest. */
  #note(side: Kms, { keyId, secret }: Key): string {
    const digest = secret.expose('application', bytes => createHash('sha256').update(bytes).digest('base64'))
    secret.wipe()
    const seen = this.#seen.get(side) ?? new Set<string>()
    this.#seen.set(side, seen)
    for (const mark of [keyId, digest]) {
      if (seen.has(mark)) this.#fault('twice', `${keyId} came twice to ${side.saeId}`)
      seen.add(mark)
    }
    return digest
  }

  #isTransient(error: unknown): boolean {
    const { code, name } = error as { code?: string; name?: string }
    if (code === 'ERR_QKD_POOL_EXHAUSTED' || code === 'ERR_QKD_POOL_DESYNC') return true
    return (
      this.#options.hostile === true &&
      (code === 'ERR_QKD_KME_UNREACHABLE' || code === 'ERR_QKD_STORE' || name === 'TimeoutError')
    )
  }

  #fault(kind: 'wrong' | 'twice' | 'refused', text: string): void {
    this.report[kind]++
    if (this.report.faults.length < 10) this.report.faults.push(`${kind}: ${text}`)
  }
}
