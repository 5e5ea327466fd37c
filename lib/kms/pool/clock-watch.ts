import type { Telemetry } from '../../interface/telemetry.ts'
import type { MessageHandlers } from './peer-session.ts'
import type { PeerMessage } from './peer-wire.ts'

/** Answers remembered: the best of them counts, so that one that a busy machine held up does not. */
const REMEMBERED = 8

/** What a clock watch works with. */
export interface ClockWatchOptions {
  readonly peerSiteId: string
  readonly telemetry: Pick<Telemetry, 'gauge'>
  readonly send: (message: PeerMessage) => void
  /** The clock on the wall, in milliseconds, as it is set. Default the system's. */
  readonly wallMs?: () => number
}

/** How far one clock is ahead of another, and by how much that may be wrong, in milliseconds. */
export interface ClockReading {
  readonly skewMs: number
  readonly errorMs: number
}

/**
 * Compares this site's wall clock with the peer's, by questions that carry the times of both (as NTP does, RFC 5905, 8): the
 * true difference lies within `errorMs` of what is told, however long either way took. Nothing goes by it but people: leases
 * and expiries never need the two clocks to agree.
 */
export class ClockWatch {
  readonly #options: ClockWatchOptions
  readonly #wallMs: () => number
  readonly #readings: ClockReading[] = []
  #askedMs: number | undefined
  readonly handlers: MessageHandlers

  constructor(options: ClockWatchOptions) {
    this.#options = options
    this.#wallMs = options.wallMs ?? Date.now
    this.handlers = {
      clock: ({ asked }) => {
        const now = this.#wallMs()
        options.send({ name: 'clockEcho', asked, received: now, answered: this.#wallMs() })
      },
      clockEcho: ({ asked, received, answered }) => this.#take(asked, received, answered),
    }
  }

  /** Asks the peer what time it is. One question at a time: a new one replaces one that has no answer. */
  ask(): void {
    this.#askedMs = this.#wallMs()
    this.#options.send({ name: 'clock', asked: this.#askedMs })
  }

  #take(askedMs: number, receivedMs: number, answeredMs: number): void {
    if (askedMs !== this.#askedMs) return
    this.#askedMs = undefined
    const reading = compareClocks({ askedMs, receivedMs, answeredMs, heardMs: this.#wallMs() })
    // A clock that was set while the question was under way says nothing.
    if (reading === undefined) return
    if (this.#readings.push(reading) > REMEMBERED) this.#readings.shift()
    // A clock that was set since makes older answers wrong, however good they were.
    const agreeing = this.#readings.filter(
      ({ skewMs, errorMs }) => Math.abs(skewMs - reading.skewMs) <= errorMs + reading.errorMs,
    )
    const best = agreeing.reduce((least, each) => (each.errorMs < least.errorMs ? each : least))
    const { telemetry, peerSiteId: peer } = this.#options
    telemetry.gauge('peer_clock_skew_ms', { peer }, best.skewMs)
    telemetry.gauge('peer_clock_error_ms', { peer }, best.errorMs)
  }
}

/** Times of one question and its answer, each by the clock of whoever noted it, in whole milliseconds. */
export interface ClockExchange {
  readonly askedMs: number
  readonly receivedMs: number
  readonly answeredMs: number
  readonly heardMs: number
}

/** What an exchange says of the other clock; undefined where a clock was set meanwhile. */
export function compareClocks({ askedMs, receivedMs, answeredMs, heardMs }: ClockExchange): ClockReading | undefined {
  const wayMs = heardMs - askedMs - (answeredMs - receivedMs)
  if (wayMs < -1 || answeredMs < receivedMs) return undefined
  const skewMs = (receivedMs - askedMs + (answeredMs - heardMs)) / 2
  // Either clock's milliseconds are cut off, not rounded.
  return { skewMs, errorMs: Math.max(0, wayMs) / 2 + 1 }
}
