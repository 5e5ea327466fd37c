import { createPlainServer, type PlainServer } from './http/plain-server.ts'
import type { Alarm } from './interface/alarm.ts'
import type { TelemetrySource } from './interface/telemetry.ts'
import { createOpsHandler, type OpsSource } from './metrics/ops-handler.ts'
import { SiteMetrics } from './metrics/site-metrics.ts'

/** Options of `createMetricsServer`. */
export interface MetricsServerOptions {
  /** Address or name of a local interface. Default `127.0.0.1`. */
  readonly host?: string
  /** TCP port, 0 for a free one. Default 0. */
  readonly port?: number
  /** Stand before those of each sample: whose metrics these are. */
  readonly labels: Readonly<Record<string, string>>
  /** Whether it serves, and why not. Default always. */
  readonly readiness?: OpsSource['readiness']
  readonly alarms?: () => readonly Alarm[]
}

/**
 * A server of `/healthz`, `/readyz` and `/metrics` over HTTP without TLS, for what writes to `telemetry`. Counters begin now,
 * and last as long as the telemetry. Nothing listens before `listen()`.
 */
export function createMetricsServer(
  telemetry: TelemetrySource,
  { labels, alarms, readiness = () => ({ ready: true, reasons: [] }), ...listen }: MetricsServerOptions,
): PlainServer {
  const metrics = new SiteMetrics(telemetry, labels, alarms === undefined ? {} : { alarms })
  const handler = createOpsHandler({ metrics: format => metrics.text(format), readiness })
  return createPlainServer({ handler, ...listen })
}
