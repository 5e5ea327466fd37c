import { debuglog } from 'node:util'
import { QkdError } from '../lib/index.ts'
import { EXIT_CODES, type Exit, exitFor } from './exit-codes.ts'

const debug = debuglog('qkd:cli')

/** What the program says when it fails. */
export interface Failure {
  readonly code: string
  readonly message: string
  readonly exitCode: number
  readonly details?: readonly Record<string, unknown>[]
  readonly retryAfterMs?: number
}

/** Ends the program with exit code 1, after the command has said itself what it found. */
export class ReportedFailure extends Error {
  override readonly name = 'ReportedFailure'
}

/** What to tell a person of `error`: never a stack, which goes to `NODE_DEBUG=qkd:cli`. */
export function describeFailure(error: unknown): Failure {
  debug('%o', error)
  if (error instanceof QkdError) return ofQkdError(error)
  const { name, code, message, syscall } = Object(error) as Partial<NodeJS.ErrnoException>
  if (name === 'YError') return failure('usage', 'ERR_QKD_INVALID_ARGUMENT', oneLine(message ?? 'Wrong usage'))
  if (name === 'TimeoutError') return failure('unreachable', 'ERR_QKD_KME_UNREACHABLE', 'No answer within the time-out')
  if (name === 'AbortError') return failure('interrupted', 'ABORT_ERR', 'Stopped before the end')
  if (code !== undefined && syscall !== undefined)
    return failure('system', code, withoutPrefix(message ?? code, `${code}: `))
  return failure('internal', 'ERR_INTERNAL', `${message ?? String(error)} (NODE_DEBUG=qkd:cli shows where)`)
}

/** Writes the failure to standard error: for a person, or as a JSON object on one line. */
export function printFailure({ code, message, ...rest }: Failure, { json }: { json: boolean }): void {
  const text = json ? JSON.stringify({ error: { code, message, ...rest } }) : `error: ${code}: ${message}`
  process.stderr.write(`${text}\n`)
}

function ofQkdError({ code, message, details, retryAfterMs }: QkdError): Failure {
  return {
    ...failure(exitFor(code), code, message),
    ...(details.length === 0 ? {} : { details }),
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
  }
}

function failure(exit: Exit, code: string, message: string): Failure {
  return { code, message, exitCode: EXIT_CODES[exit].code }
}

/** The code stands before the message already; Node.js puts it into the message as well. */
function withoutPrefix(text: string, prefix: string): string {
  return text.startsWith(prefix) ? text.slice(prefix.length) : text
}

function oneLine(text: string): string {
  return text.trim().replace(/\s*\n\s*/g, ' ')
}
