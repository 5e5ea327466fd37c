import { InvalidArgumentError } from '../errors.ts'
import type { AbortOptions } from '../interface/lifecycle.ts'

/** A signal that aborts when `signal` does or `timeoutMs` is over, whichever comes first. */
export function withDeadline(signal: AbortSignal | undefined, timeoutMs: number): AbortSignal {
  const timeout = AbortSignal.timeout(timeoutMs)
  return signal === undefined ? timeout : AbortSignal.any([signal, timeout])
}

/**
 * `promise`, or `signal.reason` if the signal aborts first. The promise itself goes on; its later rejection is handled.
 */
export function abortable<T>(promise: Promise<T>, { signal }: AbortOptions): Promise<T> {
  if (signal === undefined) return promise
  if (signal.aborted) {
    promise.catch(() => {})
    return Promise.reject(signal.reason)
  }
  return new Promise<T>((resolve, reject) => {
    const onAbort = () => reject(signal.reason)
    signal.addEventListener('abort', onAbort, { once: true })
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort))
  })
}

/** Resolves after `ms`, or rejects with `signal.reason`. The timer does not keep the process alive. */
export function delay(ms: number, { signal }: AbortOptions = {}): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const timed = new Promise<void>(resolve => {
    timer = setTimeout(resolve, ms)
    timer.unref()
  })
  return abortable(timed, { signal }).finally(() => clearTimeout(timer))
}

/** `value` if it is an integer within the bounds; otherwise throws, naming the option. */
export function requireInteger(name: string, value: unknown, { min, max }: { min: number; max: number }): number {
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= min && value <= max) return value
  throw new InvalidArgumentError(`${name} must be an integer from ${min} to ${max}`, {
    details: [{ parameter_name: name, parameter_value: String(value), allowed_values: `${min}..${max}` }],
  })
}
