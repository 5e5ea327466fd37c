import type { AlarmSeverity, Telemetry } from '../interface/telemetry.ts'

/** Alarms that stand until they are cleared: told once when they begin, and once when they end. */
export class StandingAlarms {
  readonly #telemetry: Telemetry
  readonly #scope: string
  readonly #raised = new Map<string, AlarmSeverity>()

  /** `scope` ends the ID of each. */
  constructor({ telemetry, scope }: { telemetry: Telemetry; scope: string }) {
    this.#telemetry = telemetry
    this.#scope = scope
  }

  raise(name: string, { severity, text }: { severity: AlarmSeverity; text: string }): void {
    if (this.#raised.has(name)) return
    this.#raised.set(name, severity)
    this.#tell(name, severity, 'raised', text)
  }

  /** Does nothing where it does not stand. */
  clear(name: string, text = 'Over'): void {
    const severity = this.#raised.get(name)
    if (severity === undefined) return
    this.#raised.delete(name)
    this.#tell(name, severity, 'cleared', text)
  }

  #tell(name: string, severity: AlarmSeverity, state: 'raised' | 'cleared', text: string): void {
    this.#telemetry.emit({ type: 'alarm', id: `${name}:${this.#scope}`, severity, state, text })
  }
}
