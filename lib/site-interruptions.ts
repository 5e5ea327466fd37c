import type { Closable } from './interface/lifecycle.ts'
import type { Qnl, QnlEvent } from './interface/qnl.ts'
import type { Telemetry, TelemetrySource } from './interface/telemetry.ts'

/** What an interruption is told by. */
export interface InterruptionOptions {
  readonly qnl: Pick<Qnl, 'onEvent'>
  readonly telemetry: Telemetry & TelemetrySource
}

/**
 * Turns what the network says into alarms: a pair that is served less, or not at all, with the time that its pool lasts at
 * the present rate, and the same cleared when the pair is served again. Close it before the QNL.
 */
export function watchInterruptions({ qnl, telemetry }: InterruptionOptions): Closable {
  const raised = new Set<string>()
  const unsubscribe = qnl.onEvent(event => {
    const { remoteSiteId } = event
    const id = `pair-interrupted:${remoteSiteId}`
    if (event.type === 'link-down') return
    if (event.type === 'restored') {
      if (!raised.delete(id)) return
      const rate = `${Math.round(event.rateBps)} bit/s`
      const text =
        event.rateBps > 0
          ? `The network serves the pair with ${remoteSiteId} again: ${rate}`
          : `The network is asked for no more key for ${remoteSiteId}`
      telemetry.emit({ type: 'alarm', id, severity: 'major', state: 'cleared', text })
      return
    }
    raised.add(id)
    const lasts = describeExhaustion(event, telemetry)
    const severity = event.type === 'pair-unserved' ? 'major' : 'minor'
    telemetry.emit({ type: 'alarm', id, severity, state: 'raised', text: `${describe(event)}; ${lasts}` })
  })
  const close = async () => unsubscribe()
  return { close, [Symbol.asyncDispose]: close }
}

function describe(event: Exclude<QnlEvent, { type: 'link-down' | 'restored' }>): string {
  if (event.type === 'pair-unserved') return `The network gives no key for ${event.remoteSiteId}: ${event.reason}`
  return `The network gives ${Math.round(event.rateBps)} bit/s of ${Math.round(event.wasBps)} for ${event.remoteSiteId}`
}

/** By the pool's own gauge, which knows stock and demand of this side. */
function describeExhaustion(event: QnlEvent, telemetry: TelemetrySource): string {
  const known = 'exhaustionMs' in event ? event.exhaustionMs : undefined
  const reading = telemetry
    .readings()
    .find(({ name, labels }) => name === 'pool_exhaustion_ms' && labels.peer === event.remoteSiteId)
  const ms = known ?? reading?.value
  if (ms === undefined || !Number.isFinite(ms)) return 'nobody asks its pool for key now'
  return `its pool lasts ${Math.round(ms / 1000)} s at the present rate`
}
