import { unwatchFile, watchFile } from 'node:fs'
import type { ConfigError } from '../errors.ts'
import { type LoadedPolicy, loadPolicyFile } from './policy-file.ts'

/** Looking at a file's date finds every way in which it may be replaced: by an editor, a symlink, a mounted volume. */
const LOOK_EVERY_MS = 500

/** What becomes of a changed policy file. */
export interface PolicyWatcher {
  readonly onPolicy: (policy: LoadedPolicy) => void
  /** The file has an error, or can't be read: what was in force should stay. */
  readonly onRefusal: (error: ConfigError) => void
}

/** Reads a policy file again whenever it changes, until it is disposed of. Does not keep the process alive. */
export function watchPolicyFile(path: string, { onPolicy, onRefusal }: PolicyWatcher): Disposable {
  let reading: Promise<void> = Promise.resolve()
  let ended = false
  const read = async () => {
    try {
      const policy = await loadPolicyFile(path)
      if (!ended) onPolicy(policy)
    } catch (error) {
      if (!ended) onRefusal(error as ConfigError)
    }
  }
  const onChange = () => {
    // One after the other, so that the last change is the last word.
    reading = reading.then(read)
  }
  watchFile(path, { interval: LOOK_EVERY_MS, persistent: false }, onChange)
  return {
    [Symbol.dispose]: () => {
      ended = true
      unwatchFile(path, onChange)
    },
  }
}
