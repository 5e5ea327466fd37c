import type { Argv } from 'yargs'
import { createMetricsServer, type TelemetryHub } from '../lib/index.ts'
import { parseHostPort } from './host-port.ts'

/** Adds the option of an agent's metrics. */
export function withMetricsOption<T>(yargs: Argv<T>) {
  return yargs.option('metrics', {
    type: 'string',
    requiresArg: true,
    describe: 'Where to serve /healthz, /readyz and /metrics, host:port; HTTP without TLS. Default nowhere',
  })
}

/** Serves the metrics of an agent where `--metrics` says; close what it gives at the end. */
export async function serveAgentMetrics(
  telemetry: TelemetryHub,
  { metrics, saeId, json }: { readonly metrics: string | undefined; readonly saeId: string; readonly json: boolean },
): Promise<AsyncDisposable | undefined> {
  if (metrics === undefined) return undefined
  const server = createMetricsServer(telemetry, { ...parseHostPort('metrics', metrics), labels: { sae: saeId } })
  const { host, port } = await server.listen()
  const url = `http://${host.includes(':') ? `[${host}]` : host}:${port}/metrics`
  process.stderr.write(json ? `${JSON.stringify({ metrics: url })}\n` : `metrics at ${url}\n`)
  return server
}
