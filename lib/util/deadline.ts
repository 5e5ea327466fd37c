import { InvalidArgumentError } from '../errors.ts'
import type { AbortOptions } from '../interface/lifecycle.ts'

/** Node 20 lets the garbage collector take a timeout that only `AbortSignal.any` knows: the wait never ends. */
const LOSES_TIMEOUTS = Number.parseInt(process.versions.node, 10) < 22
/** Signals made here: the timeouts behind them are held. */
const held = new WeakSet<AbortSignal>()
/** Who listens to a timeout holds it until it is over. Always this one function, so that a signal has it once. */
const hold = () => {}

/** A signal that aborts when one of these does: `AbortSignal.any`, without what Node 20 gets wrong about timeouts. */
export function eitherSignal(...signals: readonly (AbortSignal | undefined)[]): AbortSignal {
  const sources = signals.filter(signal => signal !== undefined)
  const either = AbortSignal.any(sources)
  if (LOSES_TIMEOUTS) {
    for (const source of sources) if (!held.has(source)) source.addEventListener('abort', hold)
    held.add(either)
  }
  return either
}

/** A signal that aborts when `signal` does or `timeoutMs` is over, whichever comes first. */
export function withDeadline(signal: AbortSignal | undefined, timeoutMs: number): AbortSignal {
  return eitherSignal(signal, AbortSignal.timeout(timeoutMs))
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
