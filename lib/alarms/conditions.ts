import type { ConditionName } from '../interface/alarm.ts'
import type { AlarmSeverity, GaugeName } from '../interface/telemetry.ts'

/** From where to where a value stands for an alarm: between the two thresholds what was stays. */
export interface ConditionLimits {
  /** At and beyond it the alarm is raised ... */
  readonly raise: number
  /** ... and at and short of it cleared. */
  readonly clear: number
  /** For how long without a break, in milliseconds. */
  readonly raiseAfterMs: number
  readonly clearAfterMs: number
}

/** A condition of one gauge, for each of its label sets; `value` grows with the trouble. */
export interface Condition extends ConditionLimits {
  readonly name: ConditionName
  readonly gauge: GaugeName
  readonly severity: AlarmSeverity
  /** What is compared with the thresholds, in the unit of its words; undefined where nothing can be said. */
  readonly value: (own: number, other: (gauge: GaugeName) => number | undefined, nowMs: number) => number | undefined
  readonly text: (labels: Readonly<Record<string, string>>, value: number) => string
}

const DAY_MS = 86_400_000
const percent = (share: number) => `${(100 * share).toFixed(1)} %`

/**
 * What is an alarm at a site that runs. The rules for Prometheus (docs/monitoring) say the same for those who watch many, with
 * thresholds of their own.
 */
export const conditions: readonly Condition[] = [
  {
    name: 'pool-low',
    gauge: 'pool_position_cells',
    severity: 'major',
    ...{ raise: 0.001, clear: -0.1, raiseAfterMs: 60_000, clearAfterMs: 10_000 },
    // Which share of the reorder point is missing.
    value: (position, other) => {
      const reorder = other('pool_reorder_cells')
      return reorder === undefined || reorder <= 0 ? undefined : 1 - position / reorder
    },
    text: ({ peer }, missing) =>
      `The pool for ${peer} is below its reorder point: ${percent(missing)} of it are missing`,
  },
  {
    name: 'link-down',
    gauge: 'link_up',
    severity: 'major',
    ...{ raise: 1, clear: 0, raiseAfterMs: 10_000, clearAfterMs: 10_000 },
    value: up => 1 - up,
    text: ({ link }) => `Link ${link} is down`,
  },
  {
    name: 'link-qber-high',
    gauge: 'link_qber',
    severity: 'minor',
    ...{ raise: 0.08, clear: 0.07, raiseAfterMs: 60_000, clearAfterMs: 60_000 },
    value: qber => qber,
    text: ({ link }, qber) => `Link ${link} has a quantum bit error rate of ${percent(qber)}`,
  },
  {
    name: 'store-asynchronous',
    gauge: 'store_synchronous',
    severity: 'major',
    ...{ raise: 1, clear: 0, raiseAfterMs: 30_000, clearAfterMs: 30_000 },
    value: synchronous => 1 - synchronous,
    text: () => 'Too few standbys have what the store commits: its loss may be the loss of the pools',
  },
  {
    name: 'audit-blocked',
    gauge: 'audit_blocked',
    severity: 'critical',
    ...{ raise: 1, clear: 0, raiseAfterMs: 0, clearAfterMs: 0 },
    value: blocked => blocked,
    text: () => 'The audit log cannot be written: no key leaves',
  },
  {
    name: 'clock-skew',
    gauge: 'peer_clock_skew_ms',
    severity: 'minor',
    ...{ raise: 1_000, clear: 500, raiseAfterMs: 30_000, clearAfterMs: 30_000 },
    // What is certain of it.
    value: (skewMs, other) => Math.abs(skewMs) - (other('peer_clock_error_ms') ?? 0),
    text: ({ peer }, ms) => `The clocks here and at ${peer} differ by ${(ms / 1000).toFixed(1)} s at least`,
  },
  {
    name: 'certificate-expiring',
    gauge: 'certificate_expiry_ms',
    severity: 'major',
    ...{ raise: -14 * DAY_MS, clear: -15 * DAY_MS, raiseAfterMs: 0, clearAfterMs: 0 },
    value: (expiryMs, _, nowMs) => nowMs - expiryMs,
    text: ({ certificate, subject }, sinceMs) =>
      sinceMs > 0
        ? `Certificate ${certificate} (${subject}) ended ${Math.floor(sinceMs / DAY_MS)} days ago`
        : `Certificate ${certificate} (${subject}) ends in ${Math.floor(-sinceMs / DAY_MS)} days`,
  },
  {
    name: 'kvno-near-end',
    gauge: 'kerberos_kvno',
    severity: 'major',
    ...{ raise: 0.9, clear: 0.85, raiseAfterMs: 0, clearAfterMs: 0 },
    value: (kvno, other) => {
      const limit = other('kerberos_kvno_limit')
      return limit === undefined ? undefined : kvno / limit
    },
    text: ({ principal }, share) => `${principal} has used ${percent(share)} of its kvnos: qkd kerberos trust rekey`,
  },
  {
    name: 'rotation-failing',
    gauge: 'rotation_failures',
    severity: 'major',
    ...{ raise: 3, clear: 0, raiseAfterMs: 0, clearAfterMs: 0 },
    value: failures => failures,
    text: ({ integration, name }, failures) => `${failures} rotations of ${name} (${integration}) failed in a row`,
  },
]
