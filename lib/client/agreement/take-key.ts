import { KmeResponseError } from '../../errors.ts'
import type { Key } from '../../interface/kms.ts'
import { abortable } from '../../util/deadline.ts'

/**
 * The one key that the KMS was asked for. Keys that come after the wait was given up, or besides the one, are wiped.
 * @throws {KmeResponseError} it gave another number of keys
 */
export async function takeKey(asking: Promise<Key[]>, { signal }: { signal: AbortSignal }): Promise<Key> {
  asking.then(
    keys => {
      if (signal.aborted || keys.length !== 1) for (const { secret } of keys) secret.wipe()
    },
    () => {},
  )
  const keys = await abortable(asking, { signal })
  const [key] = keys
  if (key === undefined || keys.length > 1) throw new KmeResponseError(`The KMS gave ${keys.length} keys, not one`)
  return key
}
