import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { type AbortOptions, ClosedError, ProtocolError, withDeadline } from '../../../lib/index.ts'
import type { IpsecAgentEvent } from '../agent-event.ts'
import {
  type ControlAnswer,
  type ControlRequest,
  type ControlResults,
  MAX_ANSWER_BYTES,
  toError,
} from './control-wire.ts'

/** Options of `callAgent`. */
export interface CallAgentOptions extends AbortOptions {
  /** How long to wait for the answer, in milliseconds. Default 60,000: a rotation takes as long as its peers do. */
  readonly timeoutMs?: number
}

/**
 * Asks the agent that listens at `path`.
 * @throws {ClosedError} no agent listens there, or it ended before it answered
 * @throws {QkdError} what the agent says went wrong
 */
export async function callAgent<C extends keyof ControlResults>(
  path: string,
  request: ControlRequest & { readonly call: C },
  { timeoutMs = 60_000, signal }: CallAgentOptions = {},
): Promise<ControlResults[C]> {
  for await (const answer of ask(path, request, withDeadline(signal, timeoutMs))) {
    if ('result' in answer) return answer.result as ControlResults[C]
    break
  }
  throw new ClosedError(`The agent at ${path} ended before it answered`)
}

/**
 * What the agent tells from now on, until it ends or the signal aborts.
 * @throws {ClosedError} no agent listens there
 */
export async function* watchAgent(path: string, { signal }: AbortOptions = {}): AsyncGenerator<IpsecAgentEvent> {
  for await (const answer of ask(path, { call: 'watch' }, signal)) if ('event' in answer) yield answer.event
}

async function* ask(
  path: string,
  request: ControlRequest,
  signal: AbortSignal | undefined,
): AsyncGenerator<ControlAnswer> {
  signal?.throwIfAborted()
  const socket = await open(path, signal)
  const stop = () => socket.destroy(signal?.reason)
  signal?.addEventListener('abort', stop, { once: true })
  try {
    socket.write(`${JSON.stringify(request)}\n`)
    for await (const line of lines(socket)) {
      const answer = JSON.parse(line) as ControlAnswer
      if ('error' in answer) throw toError(answer.error)
      yield answer
    }
  } catch (error) {
    throw signal?.aborted ? signal.reason : error
  } finally {
    signal?.removeEventListener('abort', stop)
    socket.destroy()
  }
}

async function open(path: string, signal: AbortSignal | undefined): Promise<Socket> {
  const socket = connect(path)
  try {
    await once(socket, 'connect', { signal })
    return socket
  } catch (cause) {
    socket.destroy()
    if (signal?.aborted) throw signal.reason
    const { code } = cause as NodeJS.ErrnoException
    const why = code === 'EACCES' ? 'only its own user may ask it' : 'is qkd ipsec agent running?'
    throw new ClosedError(`No IPsec agent answers at ${path} (${code}); ${why}`, { cause })
  }
}

/** Lines of bounded length. */
async function* lines(socket: Socket): AsyncGenerator<string> {
  let parts: Buffer[] = []
  let sizeBytes = 0
  for await (const chunk of socket as AsyncIterable<Buffer>) {
    let rest = chunk
    for (let end = rest.indexOf('\n'); end !== -1; end = rest.indexOf('\n')) {
      yield Buffer.concat([...parts, rest.subarray(0, end)]).toString('utf8')
      parts = []
      sizeBytes = 0
      rest = rest.subarray(end + 1)
    }
    parts.push(rest)
    sizeBytes += rest.byteLength
    if (sizeBytes > MAX_ANSWER_BYTES) throw new ProtocolError('The answer of the agent is too long')
  }
}
