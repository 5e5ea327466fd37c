import type { Tracer } from '../interface/tracer.ts'

/** Where nobody traces: the work, and nothing besides. */
export const noTracer: Tracer = { span: (_, __, work) => work() }
