import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

/** Gives the process a `globalThis.gc`, as `node --expose-gc` would, so that a run can tell what stays from what is left over. */
export function exposeGarbageCollector(): void {
  setFlagsFromString('--expose-gc')
  Object.assign(globalThis, { gc: runInNewContext('gc') })
}
