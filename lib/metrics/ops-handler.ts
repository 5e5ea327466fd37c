import type { HttpHandler, HttpResponse } from '../interface/http.ts'
import { formatFor, type MetricsFormat, OPEN_METRICS_TYPE, PLAIN_METRICS_TYPE } from './open-metrics.ts'

/** What a site says of itself to whoever watches it. */
export interface OpsSource {
  metrics(format: MetricsFormat): string
  /** Whether it serves, and what keeps it from serving all; never throws. */
  readiness(): { readonly ready: boolean; readonly reasons: readonly string[] }
}

/**
 * `/healthz`: the process runs. `/readyz`: hosts can have keys of at least one peer, or the reasons why not (503). `/metrics`:
 * OpenMetrics text, or Prometheus's older one where that is asked for. No secret is behind any of them; who consumes how much may be one, so they have a port of their own.
 */
export function createOpsHandler(source: OpsSource): HttpHandler {
  return async ({ method, target, headers }) => {
    const path = target.split('?')[0]
    if (method !== 'GET' && method !== 'HEAD') return text(405, 'GET only\n', { allow: 'GET, HEAD' })
    if (path === '/healthz') return text(200, 'ok\n')
    if (path === '/metrics') {
      const format = formatFor(headers.accept)
      const type = format === 'plain' ? PLAIN_METRICS_TYPE : OPEN_METRICS_TYPE
      return text(200, source.metrics(format), { 'content-type': type, vary: 'accept' })
    }
    if (path !== '/readyz') return text(404, 'There are /healthz, /readyz and /metrics\n')
    const { ready, reasons } = source.readiness()
    const body = Buffer.from(`${JSON.stringify({ ready, reasons })}\n`)
    return { status: ready ? 200 : 503, headers: { ...noStore, 'content-type': 'application/json' }, body }
  }
}

const noStore = { 'cache-control': 'no-store' }

function text(status: number, body: string, headers: Record<string, string> = {}): HttpResponse {
  return {
    status,
    headers: { ...noStore, 'content-type': 'text/plain; charset=utf-8', ...headers },
    body: Buffer.from(body),
  }
}
