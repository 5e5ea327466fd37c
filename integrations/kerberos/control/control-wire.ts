import { ProtocolError } from '../../../lib/index.ts'

/** Longest request, in characters. */
export const MAX_REQUEST_CHARS = 4_096
/** Longest reply: the status of many principals with all their versions. */
export const MAX_REPLY_CHARS = 64 * 1024 * 1024

/** What may be asked of a running agent. */
export type ControlRequest =
  | { readonly command: 'status' }
  /** `forget`: the agent leaves the principal alone from now on; what the KDC has stays. */
  | { readonly command: 'rotate' | 'rekey' | 'forget'; readonly principal: string }

/** What comes of it. */
export type ControlReply =
  | { readonly ok: true; readonly result: unknown }
  | { readonly ok: false; readonly code: string; readonly message: string }

/** The request in a line. */
export function decodeRequest(line: string): ControlRequest {
  const { command, principal } = parse(line)
  if (command === 'status') return { command }
  if ((command === 'rotate' || command === 'rekey' || command === 'forget') && typeof principal === 'string') {
    return { command, principal }
  }
  throw new ProtocolError('The agent is asked something that it does not know')
}

/** The reply in a line. */
export function decodeReply(line: string): ControlReply {
  const { ok, result, code, message } = parse(line)
  if (ok === true) return { ok, result }
  if (ok === false && typeof code === 'string' && typeof message === 'string') return { ok, code, message }
  throw new ProtocolError('The agent answers something that is no reply')
}

function parse(line: string): Record<string, unknown> {
  try {
    const value = JSON.parse(line)
    if (typeof value === 'object' && value !== null) return value
  } catch {
    // Said below.
  }
  throw new ProtocolError('A line on the control socket is no JSON object')
}
