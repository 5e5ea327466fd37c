import type { Telemetry } from '../../lib/index.ts'
import type { IpsecAlarm } from './agent-status.ts'

/** Options of `Alarms`. */
export interface AlarmsOptions {
  readonly now: () => number
  readonly telemetry: Telemetry | undefined
  readonly onChange: (alarm: IpsecAlarm, state: 'raised' | 'cleared') => void
}

/** What a person should look at now: each alarm once, however often its cause comes again. */
export class Alarms {
  readonly #options: AlarmsOptions
  readonly #standing = new Map<string, IpsecAlarm>()

  constructor(options: AlarmsOptions) {
    this.#options = options
  }

  /** Those that stand, the oldest first. */
  list(): IpsecAlarm[] {
    return [...this.#standing.values()]
  }

  /** Raises an alarm, or says anew what it is about. */
  raise(alarm: Omit<IpsecAlarm, 'sinceMs'>): void {
    const name = nameOf(alarm)
    const standing = this.#standing.get(name)
    if (standing?.text === alarm.text) return
    const next = { ...alarm, sinceMs: standing?.sinceMs ?? this.#options.now() }
    this.#standing.set(name, next)
    this.#tell(next, 'raised')
  }

  /** Its cause is gone; nothing happens where it does not stand. */
  clear(alarm: Pick<IpsecAlarm, 'id' | 'connection'>): void {
    const standing = this.#standing.get(nameOf(alarm))
    if (standing === undefined) return
    this.#standing.delete(nameOf(alarm))
    this.#tell(standing, 'cleared')
  }

  #tell(alarm: IpsecAlarm, state: 'raised' | 'cleared'): void {
    const { severity, text } = alarm
    this.#options.telemetry?.emit({ type: 'alarm', id: `strongswan/${nameOf(alarm)}`, severity, state, text })
    this.#options.onChange(alarm, state)
  }
}

function nameOf({ id, connection }: Pick<IpsecAlarm, 'id' | 'connection'>): string {
  return connection === undefined ? id : `${connection}/${id}`
}
