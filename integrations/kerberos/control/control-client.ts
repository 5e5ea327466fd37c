import { once } from 'node:events'
import { connect } from 'node:net'
import {
  abortable,
  ClosedError,
  createQkdError,
  isQkdErrorCode,
  ProtocolError,
  startDeadline,
} from '../../../lib/index.ts'
import type { AgentStatus } from '../agent/agent-status.ts'
import { type ControlRequest, decodeReply, MAX_REPLY_CHARS } from './control-wire.ts'

/** Options of `askAgent`. */
export interface AskAgentOptions {
  readonly signal?: AbortSignal
  /** Default 60,000 ms. */
  readonly timeoutMs?: number
}

/** What a rotation that was asked for came to. */
export interface ControlRotation {
  readonly principal: string
  readonly kvno: number
  readonly epoch: number
  readonly keyId: string
  readonly agreed: number
}

/**
 * Asks the agent that listens at `socketPath`.
 * @throws {ClosedError} no agent listens there
 * @throws what the agent failed with, by its code
 */
export async function askAgent(
  socketPath: string,
  request: { command: 'status' },
  options?: AskAgentOptions,
): Promise<AgentStatus>
/** Asks for a change. */
export async function askAgent(
  socketPath: string,
  request: ControlRequest,
  options?: AskAgentOptions,
): Promise<ControlRotation>
/** What both come to. */
export async function askAgent(
  socketPath: string,
  request: ControlRequest,
  { signal, timeoutMs = 60_000 }: AskAgentOptions = {},
): Promise<unknown> {
  using deadline = startDeadline(signal, timeoutMs)
  const socket = connect(socketPath)
  try {
    await abortable(once(socket, 'connect'), deadline)
    socket.write(`${JSON.stringify(request)}\n`)
    let text = ''
    socket.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk
      if (text.length > MAX_REPLY_CHARS) socket.destroy(new ProtocolError('The agent answers more than it should'))
    })
    await abortable(once(socket, 'end'), deadline)
    const reply = decodeReply(text)
    if (reply.ok) return reply.result
    const { code, message } = reply
    throw isQkdErrorCode(code) ? createQkdError(code, message) : new ProtocolError(message)
  } catch (error) {
    if (['ENOENT', 'ECONNREFUSED'].includes((error as NodeJS.ErrnoException).code ?? '')) {
      throw new ClosedError(`No Kerberos agent listens at ${socketPath}: start qkd kerberos agent`, { cause: error })
    }
    throw error
  } finally {
    socket.destroy()
  }
}
