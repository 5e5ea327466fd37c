import type { TimeWindow, WeekDay } from '../../interface/policy.ts'

const DAY_MINUTES = 1_440
const WEEK_MINUTES = 7 * DAY_MINUTES
const days: readonly WeekDay[] = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun']

/** 1 January 1970 was a Thursday: the minute of the week at which Unix time began, counted from Monday. */
const EPOCH_MINUTE = 3 * DAY_MINUTES

/** A `TimeWindow` that can be asked whether a moment lies in it. */
export class WeekWindow {
  readonly #days: ReadonlySet<number>
  readonly #fromMinute: number
  readonly #lengthMinutes: number
  readonly #offsetMinutes: number

  constructor(window: TimeWindow) {
    this.#days = new Set((window.days ?? days).map(day => days.indexOf(day)))
    this.#fromMinute = minutesOf(window.from ?? '00:00')
    const length = minutesOf(window.to ?? '24:00') - this.#fromMinute
    this.#lengthMinutes = length > 0 ? length : length + DAY_MINUTES
    this.#offsetMinutes = offsetOf(window.utcOffset ?? '+00:00')
  }

  /** True for the whole week: the same as no window. */
  get isAlways(): boolean {
    return this.#days.size === days.length && this.#lengthMinutes === DAY_MINUTES
  }

  /** True where `atMs`, in milliseconds of Unix time, lies in the window. */
  includes(atMs: number): boolean {
    const minute = Math.floor(atMs / 60_000) + EPOCH_MINUTE + this.#offsetMinutes
    const ofWeek = ((minute % WEEK_MINUTES) + WEEK_MINUTES) % WEEK_MINUTES
    const today = Math.floor(ofWeek / DAY_MINUTES)
    const sinceFrom = ofWeek - today * DAY_MINUTES - this.#fromMinute
    if (sinceFrom >= 0) return sinceFrom < this.#lengthMinutes && this.#days.has(today)
    return sinceFrom + DAY_MINUTES < this.#lengthMinutes && this.#days.has((today + 6) % 7)
  }
}

function minutesOf(clock: string): number {
  const [hours, minutes] = clock.split(':').map(Number)
  return hours! * 60 + minutes!
}

function offsetOf(offset: string): number {
  return (offset.startsWith('-') ? -1 : 1) * minutesOf(offset.slice(1))
}
