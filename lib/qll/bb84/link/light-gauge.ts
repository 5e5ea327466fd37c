import { UnauthorizedError } from '../../../errors.ts'
import type { AlarmSeverity } from '../../../interface/telemetry.ts'
import type { EndState } from '../../end-state.ts'
import type { BlockReport } from '../session/report.ts'
import type { CheckedBb84Options } from './bb84-link-options.ts'

/** Weight of the last block in the rate that is told. */
const WEIGHT = 0.3
/** The rate is told again when it is off by this share: blocks scatter by less. */
const NOTABLE = 0.15
/** Below this share of the rate that the link was set up for, it is degraded. */
const DEGRADED_BELOW = 0.5

type AlarmName = 'qber' | 'authentication'

const ALARMS: Record<AlarmName, AlarmSeverity> = { qber: 'major', authentication: 'critical' }

/**
 * What blocks and connections show of the link, as its state: up, degraded or down, at what rate and error rate, and the
 * alarms. Light that leaves no key takes the link down at once, and the first block with key brings it up.
 */
export class LightGauge {
  readonly #options: CheckedBb84Options
  readonly #state: EndState
  readonly #raised = new Set<AlarmName>()
  #open = false
  /** Why no light comes through. */
  #dark: string | undefined
  /** Why the last block had no key. */
  #spoilt: string | undefined
  #unverified = false
  /** What the photons yield, and what is left of it by the work of this end; in bits a second. */
  #lightBps: number
  #rateBps: number
  #toldBps = 0

  constructor(options: CheckedBb84Options, state: EndState) {
    this.#options = options
    this.#state = state
    this.#lightBps = options.plan.rateBps
    this.#rateBps = options.plan.rateBps
  }

  /** The ends have proved to each other who they are. */
  opened(): void {
    this.#open = true
    this.#show()
  }

  /** The connection is lost. */
  lost(reason: Error): void {
    this.#open = false
    // Whether there is light is told again with the next connection, and only if there is none.
    this.#dark = undefined
    if (!(reason instanceof UnauthorizedError)) return
    this.#alarm('authentication', reason.message)
  }

  /** Light has gone, with the reason, or come back. */
  light(dark: string | undefined): void {
    this.#dark = dark
    this.#show()
  }

  /** A block is over. */
  block(report: BlockReport): void {
    const qber = report.qber ?? report.estimate?.rate
    if (qber !== undefined) this.#state.showQber(qber)
    if (report.outcome === 'key') this.#key(report)
    else if (report.cause === 'light') this.#spoil(report.reason ?? 'no key is left')
    else if (report.cause === 'verification') this.#unverified = true
    this.#show()
  }

  #key(report: BlockReport): void {
    this.#spoilt = undefined
    this.#unverified = false
    this.#calm('qber')
    this.#calm('authentication')
    const netBits = Math.max(report.secretBits - report.authenticationBits, 0)
    const { clockHz, timeShare } = this.#options
    const lightMs = (1e3 * report.pulses) / (clockHz * timeShare)
    const workMs = Object.values(report.stageMs).reduce((total, ms) => total + ms, 0)
    this.#lightBps += WEIGHT * ((1e3 * report.secretBits) / lightMs - this.#lightBps)
    this.#rateBps += WEIGHT * ((1e3 * netBits) / Math.max(lightMs, workMs) - this.#rateBps)
  }

  #spoil(reason: string): void {
    this.#spoilt = reason
    this.#alarm('qber', `Link "${this.#options.linkId}" gives no key: ${reason}`)
  }

  #show(): void {
    const down = this.#dark ?? this.#spoilt
    if (!this.#open) return
    if (down !== undefined) this.#state.down(down)
    else this.#showRate()
  }

  #showRate(): void {
    const { rateBps: plannedBps } = this.#options.plan
    if (Math.abs(this.#rateBps / this.#toldBps - 1) > NOTABLE || this.#toldBps === 0) {
      this.#toldBps = Math.max(Math.round(this.#rateBps), 1)
    }
    if (this.#unverified) this.#state.degraded('The keys of the last block did not verify as the same', this.#toldBps)
    else if (this.#lightBps >= DEGRADED_BELOW * plannedBps) this.#state.up(this.#toldBps, this.#toldBps)
    else {
      const reason = `The light is good for less than half of the ${Math.round(plannedBps)} b/s that were planned`
      this.#state.degraded(reason, this.#toldBps)
    }
  }

  #alarm(name: AlarmName, text: string): void {
    if (this.#raised.has(name)) return
    this.#raised.add(name)
    this.#emit(name, 'raised', text)
  }

  #calm(name: AlarmName): void {
    if (this.#raised.delete(name)) this.#emit(name, 'cleared', `Link "${this.#options.linkId}" gives key again`)
  }

  #emit(name: AlarmName, state: 'raised' | 'cleared', text: string): void {
    const { telemetry, linkId } = this.#options
    telemetry?.emit({ type: 'alarm', id: `link-${name}:${linkId}`, severity: ALARMS[name], state, text })
  }
}
