import { isQkdErrorCode, QkdError } from '../../../lib/index.ts'
import type { ReconcileReport } from '../agent.ts'
import type { IpsecAgentEvent } from '../agent-event.ts'
import type { IpsecAgentStatus } from '../agent-status.ts'

/** What a command asks of the agent: one line of JSON, and the answer is one line; to `watch` a line for each event. */
export type ControlRequest =
  | { readonly call: 'status' }
  | { readonly call: 'watch' }
  | { readonly call: 'rotate'; readonly connection?: string }
  | { readonly call: 'reconcile' }

/** What the agent answers to each call. */
export interface ControlResults {
  readonly status: IpsecAgentStatus
  readonly rotate: IpsecAgentStatus
  readonly reconcile: ReconcileReport
}

/** A line from the agent. */
export type ControlAnswer =
  | { readonly result: unknown }
  | { readonly event: IpsecAgentEvent }
  | { readonly error: { readonly code: string; readonly message: string; readonly details: readonly object[] } }

/** Longest line that a command may send, in bytes. */
export const MAX_REQUEST_BYTES = 4_096
/** Longest line of the agent, in bytes: the status of a thousand connections. */
export const MAX_ANSWER_BYTES = 16 * 1024 * 1024

/** The request in a line; undefined where it is none. */
export function parseRequest(line: string): ControlRequest | undefined {
  let value: unknown
  try {
    value = JSON.parse(line)
  } catch {
    return undefined
  }
  const { call, connection } = Object(value) as { call?: unknown; connection?: unknown }
  switch (call) {
    case 'status':
    case 'watch':
    case 'reconcile':
      return { call }
    case 'rotate':
      if (connection === undefined) return { call }
      return typeof connection === 'string' ? { call, connection } : undefined
    default:
      return undefined
  }
}

/** An error as it goes over the socket. */
export function errorAnswer(error: unknown): ControlAnswer {
  const { message, code, details = [] } = Object(error) as Partial<QkdError>
  return { error: { code: code ?? 'ERR_INTERNAL', message: message ?? String(error), details } }
}

/** The error that the agent told of, with its code. */
export function toError({ code, message, details }: Extract<ControlAnswer, { error: unknown }>['error']): Error {
  if (!isQkdErrorCode(code)) return new Error(message)
  return new QkdError(code, message, { details: [...details] as Record<string, unknown>[] })
}
