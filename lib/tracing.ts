import type { Context, Tracer as OpenTelemetryTracer, Span, TextMapGetter } from '@opentelemetry/api'
import { MissingDependencyError, QkdError } from './errors.ts'
import type { HttpHandler } from './interface/http.ts'
import type { TraceAttributes, Tracer } from './interface/tracer.ts'

/** The door to OpenTelemetry: an optional peer, which is loaded where traces are asked for and nowhere else. */
type Api = typeof import('@opentelemetry/api')

const headersGetter: TextMapGetter<Readonly<Record<string, string>>> = {
  get: (headers, name) => headers[name.toLowerCase()],
  keys: headers => Object.keys(headers),
}

/** Traces by OpenTelemetry's API, and the binding that begins one with each request. */
export interface OpenTelemetry {
  readonly tracer: Tracer
  /** The handler, each of its requests a span of the caller's trace (`traceparent`), or of a new one. */
  traced(handler: HttpHandler): HttpHandler
}

/**
 * Traces to whatever SDK the process has set up (`node --import ./otel.mjs …`); without one the API does nothing.
 * @throws {MissingDependencyError} `@opentelemetry/api` is not installed
 */
export async function openTracing(): Promise<OpenTelemetry> {
  const api = await loadApi()
  const otel = api.trace.getTracer('qkdkit')
  const tracer = createTracer(api, otel)
  return { tracer, traced: handler => traceHandler(api, { tracer, handler }) }
}

async function loadApi(): Promise<Api> {
  try {
    return await import('@opentelemetry/api')
  } catch (cause) {
    throw new MissingDependencyError('Traces need the package @opentelemetry/api: npm install @opentelemetry/api', {
      cause,
    })
  }
}

function createTracer({ context, trace, SpanStatusCode }: Api, otel: OpenTelemetryTracer): Tracer {
  const end = (span: Span, error: unknown): void => {
    // Messages name hosts and sites; the code is enough to tell failures apart.
    const code = error instanceof QkdError ? error.code : error instanceof Error ? error.name : 'UNKNOWN'
    span.setAttribute('error.type', code).setStatus({ code: SpanStatusCode.ERROR, message: code })
    span.end()
  }
  return {
    span<T>(
      name: string,
      attributes: TraceAttributes,
      work: () => T,
      told?: (result: Awaited<T>) => TraceAttributes,
    ): T {
      const span = otel.startSpan(name, { attributes: mutable(attributes) })
      const succeed = (result: Awaited<T>) => {
        if (told !== undefined && span.isRecording()) span.setAttributes(mutable(told(result)))
        span.end()
      }
      const within: Context = trace.setSpan(context.active(), span)
      let result: T
      try {
        result = context.with(within, work)
      } catch (error) {
        end(span, error)
        throw error
      }
      if (result instanceof Promise) result.then(succeed, error => end(span, error))
      else succeed(result as Awaited<T>)
      return result
    },
  }
}

function traceHandler(
  { context, propagation, ROOT_CONTEXT }: Api,
  { tracer, handler }: { tracer: Tracer; handler: HttpHandler },
): HttpHandler {
  return request => {
    const caller = propagation.extract(ROOT_CONTEXT, request.headers, headersGetter)
    // The path alone: SAE IDs are of those who ask, key_IDs stand in the query.
    const attributes = { 'http.request.method': request.method, 'url.path': pathOf(request.target) }
    return context.with(caller, () =>
      tracer.span(
        'http',
        attributes,
        () => handler(request),
        ({ status }) => ({ 'http.response.status_code': status }),
      ),
    )
  }
}

function pathOf(target: string): string {
  const end = target.indexOf('?')
  return end < 0 ? target : target.slice(0, end)
}

function mutable(attributes: TraceAttributes): Record<string, string | number | string[]> {
  return attributes as Record<string, string | number | string[]>
}
