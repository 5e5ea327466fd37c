import type { TelemetryEvent } from '../interface/telemetry.ts'
import { HourTally } from './hour-tally.ts'
import type { ConsumerRow, ConsumersSection, LevelsSection, RequestsSection } from './sections.ts'

/** Pairs of hosts that are told apart. */
const MOST_CONSUMERS = 1_000
/** Rows that go to the page. */
const MOST_ROWS = 100
const MOST_REASONS = 100

/** What hosts took and were refused in the last hour. */
export class Traffic {
  readonly #consumers: HourTally<Pick<ConsumerRow, 'master' | 'slave' | 'peer' | 'direction'>>
  readonly #levels: HourTally<{ level: string; path: string }>
  readonly #refusals: HourTally<{ operation: string; reason: string }>
  readonly #waits: HourTally<undefined>
  readonly #lowered: HourTally<undefined>

  constructor({ now = Date.now }: { now?: () => number } = {}) {
    this.#consumers = new HourTally({ most: MOST_CONSUMERS, now })
    this.#levels = new HourTally({ most: MOST_REASONS, now })
    this.#refusals = new HourTally({ most: MOST_REASONS, now })
    this.#waits = new HourTally({ most: 1, now })
    this.#lowered = new HourTally({ most: 1, now })
  }

  /** Takes one event of the stream; those that are not about requests do nothing. */
  take(event: TelemetryEvent): void {
    switch (event.type) {
      case 'key-issued':
      case 'key-retrieved': {
        const { masterSaeId: master, slaveSaeId: slave, peerSiteId: peer, level, trustClass: path, sizeBits } = event
        const direction = event.type === 'key-issued' ? 'out' : 'in'
        const amount = { amount: sizeBits }
        this.#consumers.add(`${direction} ${master} ${slave}`, { master, slave, peer, direction }, amount)
        this.#levels.add(`${level} ${path}`, { level, path }, amount)
        return
      }
      case 'key-refused':
        this.#refuse(event.operation, event.code.replace(/^ERR_QKD_/, ''))
        return
      case 'tls-refused':
        this.#refuse('tls', event.reason)
        return
      case 'request-waited':
        this.#waits.add('', undefined, { amount: event.waitMs })
        return
      case 'keys-lowered':
        this.#lowered.add('', undefined, { count: event.keys })
        return
      default:
    }
  }

  consumers(): ConsumersSection {
    const all = this.#consumers.rows()
    const rest = this.#consumers.rest()
    const more = all.slice(MOST_ROWS)
    const sum = (of: 'count' | 'amount') => more.reduce((total, row) => total + row[of], rest[of])
    return {
      rows: all.slice(0, MOST_ROWS).map(({ what, count, amount }) => ({ ...what, keys: count, bits: amount })),
      others: { count: more.length, keys: sum('count'), bits: sum('amount') },
      totalBits: all.reduce((total, { amount }) => total + amount, rest.amount),
    }
  }

  levels(): LevelsSection {
    const rows = this.#levels.rows().map(({ what, count, amount }) => ({ ...what, keys: count, bits: amount }))
    return { rows, loweredKeys: this.#lowered.rows()[0]?.count ?? 0 }
  }

  requests(): Omit<RequestsSection, 'waitingNow' | 'handshakesWaiting'> {
    const waits = this.#waits.rows()[0]
    const refused = this.#refusals.rows().map(({ what, count, lastFiveMinutes }) => ({
      ...what,
      lastFiveMinutes,
      lastHour: count,
    }))
    const meanWaitMs = waits === undefined ? 0 : Math.round(waits.amount / waits.count)
    return { waitedLastHour: waits?.count ?? 0, meanWaitMs, refused }
  }

  #refuse(operation: string, reason: string): void {
    this.#refusals.add(`${operation} ${reason}`, { operation, reason })
  }
}
