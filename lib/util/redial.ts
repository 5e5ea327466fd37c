import { setTimeout as sleep } from 'node:timers/promises'
import type { BackOff } from './back-off.ts'

/** What is connected again and again, and until when. */
export interface RedialOptions {
  /** Holds one connection until it ends, and gives what ended it. */
  readonly connectOnce: () => Promise<unknown>
  /** Pauses before the next connection; undefined ends with the first one. */
  readonly backOff: BackOff | undefined
  readonly signal: AbortSignal
  /** Called before each pause, with its length and what ended the connection, or kept it from coming. */
  readonly onPause: (pauseMs: number, cause: unknown) => void
}

/** Connects, and again whenever the connection is lost. Gives what ended the last one, once no other comes any more. */
export async function redial({ connectOnce, backOff, signal, onPause }: RedialOptions): Promise<unknown> {
  for (;;) {
    const cause = await connectOnce().catch((error: unknown) => error)
    if (signal.aborted || backOff === undefined) return cause
    const pauseMs = backOff.nextMs()
    onPause(pauseMs, cause)
    // Not unref()ed: like a socket under way, a line that is not closed keeps its process alive.
    await sleep(pauseMs, undefined, { signal }).catch(() => {})
  }
}
