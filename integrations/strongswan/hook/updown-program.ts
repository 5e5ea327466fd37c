import { execFile } from 'node:child_process'
import { debugLogger, type Logger } from '../../../lib/index.ts'
import type { IpsecAgentEvent } from '../agent-event.ts'

/** Options of `UpdownProgram`. */
export interface UpdownProgramOptions {
  /** The program; gets no arguments, and all it is told as `QKD_*` and `PLUTO_*` in its environment. */
  readonly path: string
  /** How long one call may take before it is killed, in milliseconds. Default 10,000. */
  readonly timeoutMs?: number
  readonly logger?: Logger
}

/** Calls that may wait for the one that runs; the oldest make room. */
const MAX_WAITING = 1_000
const MAX_OUTPUT_BYTES = 64 * 1024

type UpdownNotice = Extract<IpsecAgentEvent, { type: 'updown' }>

/**
 * A user's program that is told what becomes of the traffic: `up` when it can flow, `moved` when a new key has taken over,
 * `down` when nothing carries it any more. One call at a time, in order; nobody waits for it but the next call.
 */
export class UpdownProgram {
  readonly #options: UpdownProgramOptions
  readonly #logger: Logger
  readonly #waiting: UpdownNotice[] = []
  readonly #stop = new AbortController()
  #running: Promise<void> | undefined

  constructor(options: UpdownProgramOptions) {
    this.#options = options
    this.#logger = options.logger ?? debugLogger('ipsec')
  }

  /** Calls the program for an event of the agent, if it is one of the hook. */
  take(event: IpsecAgentEvent): void {
    // The late down of an IKE_SA whose traffic another carries already changes nothing for anybody.
    if (event.type !== 'updown' || (event.direction === 'down' && !event.edge)) return
    if (this.#waiting.length >= MAX_WAITING) {
      this.#waiting.shift()
      this.#logger.warn({ path: this.#options.path }, 'the updown program is too slow: a call was left out')
    }
    this.#waiting.push(event)
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined
    })
  }

  /** Resolves when every call is done; kills the one that runs when the signal aborts. */
  async close({ signal }: { signal?: AbortSignal } = {}): Promise<void> {
    const stop = () => {
      this.#waiting.length = 0
      this.#stop.abort()
    }
    if (signal?.aborted) stop()
    signal?.addEventListener('abort', stop, { once: true })
    await this.#running
    signal?.removeEventListener('abort', stop)
  }

  async #run(): Promise<void> {
    for (let notice = this.#waiting.shift(); notice !== undefined; notice = this.#waiting.shift()) {
      const problem = await this.#call(notice)
      if (problem !== undefined) {
        this.#logger.warn({ path: this.#options.path, reason: problem }, 'the updown program failed')
      }
    }
  }

  #call(notice: UpdownNotice): Promise<string | undefined> {
    const { path, timeoutMs = 10_000 } = this.#options
    const options = {
      env: environmentOf(notice),
      timeout: timeoutMs,
      killSignal: 'SIGKILL',
      maxBuffer: MAX_OUTPUT_BYTES,
      signal: this.#stop.signal,
    } as const
    return new Promise<string | undefined>(resolve => {
      const child = execFile(path, [], options, error => resolve(error === null ? undefined : error.message))
      child.stdin?.end()
    }).catch((error: Error) => error.message) // Some of what can't be run, such as a path through a file, is thrown.
  }
}

function environmentOf({ direction, edge, connection, keyId, event }: UpdownNotice): Record<string, string> {
  return {
    ...event.variables,
    PATH: '/usr/sbin:/usr/bin:/sbin:/bin',
    QKD_EVENT: direction === 'up' && !edge ? 'moved' : direction,
    QKD_CONNECTION: connection ?? '',
    QKD_CHILD: event.child,
    QKD_KEY_ID: keyId ?? '',
    QKD_UNIQUE_ID: event.uniqueId,
  }
}
