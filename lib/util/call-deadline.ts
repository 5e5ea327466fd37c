/** The end of one call: a signal, and what to release when the call is over. */
export interface CallDeadline extends Disposable {
  /** Aborts with the caller's reason, or with a `TimeoutError` when the time is over. */
  readonly signal: AbortSignal
}

/**
 * As `withDeadline`, for the path of every request: it must be disposed of, and then leaves neither a timer nor a listener
 * behind, where `AbortSignal.timeout` and `AbortSignal.any` leave both to the garbage collector.
 */
export function startDeadline(signal: AbortSignal | undefined, timeoutMs: number): CallDeadline {
  const controller = new AbortController()
  const onAbort = () => controller.abort(signal?.reason)
  const timer = setTimeout(() => {
    controller.abort(new DOMException(`No answer within ${timeoutMs} ms`, 'TimeoutError'))
  }, timeoutMs)
  timer.unref()
  if (signal?.aborted) onAbort()
  else signal?.addEventListener('abort', onAbort, { once: true })
  return {
    signal: controller.signal,
    [Symbol.dispose]: () => {
      clearTimeout(timer)
      signal?.removeEventListener('abort', onAbort)
    },
  }
}
