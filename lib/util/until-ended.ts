import { ProtocolError } from '../errors.ts'
import type { AbortOptions } from '../interface/lifecycle.ts'

/** A talk with one peer: `ended` gives what ended it. */
export interface Session {
  readonly ended: Promise<unknown>
  end(): void
}

/**
 * Resolves once a session is over: either end has closed, or the signal has aborted and ended it.
 * @throws {ProtocolError} the peer broke the rules
 */
export async function untilEnded(session: Session, { signal }: AbortOptions = {}): Promise<void> {
  const onAbort = () => session.end()
  signal?.addEventListener('abort', onAbort, { once: true })
  if (signal?.aborted) onAbort()
  try {
    const reason = await session.ended
    if (reason instanceof ProtocolError) throw reason
  } finally {
    signal?.removeEventListener('abort', onAbort)
  }
}
