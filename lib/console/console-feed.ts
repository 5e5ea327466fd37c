import type { Closable, Unsubscribe } from '../interface/lifecycle.ts'
import { Listeners } from '../util/listeners.ts'
import { HistoryRing } from './history-ring.ts'
import type { ConsoleSections } from './sections.ts'
import type { ConsoleView } from './site-view.ts'

/** What the server of the page sends on: frames of server-sent events, as they go over the wire. */
export interface ConsoleFeed extends Closable {
  /** Everything, for who comes new. Frames that come later make up the differences. */
  hello(): Promise<string>
  /** Calls `listener` with each frame from now on. */
  subscribe(listener: (frame: string) => void): Unsubscribe
}

/** Options of `createConsoleFeed`. */
export interface ConsoleFeedOptions {
  readonly view: ConsoleView
  /** Between two frames while anybody watches, in milliseconds. Default 1,000. */
  readonly periodMs?: number
  readonly now?: () => number
}

/** Each so many milliseconds the charts get a point, whoever watches. */
const SAMPLE_MS = 10_000

/** Looks at `view` once a second while anybody watches, and sends what has changed; the view is closed with it. */
export function createConsoleFeed(options: ConsoleFeedOptions): ConsoleFeed {
  return new ViewFeed(options)
}

class ViewFeed implements ConsoleFeed {
  readonly #view: ConsoleView
  readonly #now: () => number
  readonly #history = new HistoryRing({ stepMs: SAMPLE_MS })
  readonly #listeners = new Listeners<string>()
  readonly #timer: NodeJS.Timeout
  readonly #last = new Map<string, string>()
  #watchers = 0
  #sampledAtMs = Number.NEGATIVE_INFINITY
  #looking: Promise<void> | undefined

  constructor({ view, periodMs = 1_000, now = Date.now }: ConsoleFeedOptions) {
    this.#view = view
    this.#now = now
    this.#timer = setInterval(() => void this.#look(), periodMs).unref()
  }

  async hello(): Promise<string> {
    await this.#view.refresh()
    // Who comes new may know more than the last frame said, so the next one says everything.
    this.#last.clear()
    const state = { atMs: Math.round(this.#now()), sections: this.#view.sections(), history: this.#history.toJson() }
    return eventFrame('state', JSON.stringify(state))
  }

  subscribe(listener: (frame: string) => void): Unsubscribe {
    const leave = this.#listeners.add(listener)
    this.#watchers += 1
    let left = false
    return () => {
      if (left) return
      left = true
      this.#watchers -= 1
      leave()
    }
  }

  async close(): Promise<void> {
    clearInterval(this.#timer)
    this.#listeners.clear()
    await this.#looking
    this.#view[Symbol.dispose]()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  /** A look that takes longer than a period is waited for, and those that it covers are left out. */
  #look(): Promise<void> {
    this.#looking ??= this.#lookOnce().finally(() => {
      this.#looking = undefined
    })
    return this.#looking
  }

  async #lookOnce(): Promise<void> {
    const atMs = Math.round(this.#now())
    const isSample = atMs - this.#sampledAtMs >= SAMPLE_MS
    if (this.#watchers === 0 && !isSample) return
    await this.#view.refresh()
    if (isSample) {
      this.#sampledAtMs = atMs
      const sample = this.#view.sample()
      this.#history.add(atMs, sample)
      this.#listeners.emit(eventFrame('sample', JSON.stringify({ atMs, sample })))
    }
    if (this.#watchers > 0) this.#listeners.emit(eventFrame('delta', this.#delta(atMs)))
  }

  /** The parts that are not as they were in the frame before. A part that is gone is null. */
  #delta(atMs: number): string {
    const sections: ConsoleSections = this.#view.sections()
    const parts: string[] = []
    for (const [name, section] of Object.entries(sections)) {
      const text = JSON.stringify(section) ?? 'null'
      if (this.#last.get(name) === text) continue
      this.#last.set(name, text)
      parts.push(`${JSON.stringify(name)}:${text}`)
    }
    return `{"atMs":${atMs},"sections":{${parts.join(',')}}}`
  }
}

/** A frame of server-sent events; JSON has no line breaks of its own. */
export function eventFrame(name: string, json: string): string {
  return `event: ${name}\ndata: ${json}\n\n`
}
