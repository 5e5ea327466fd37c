import { unwatchFile, watchFile } from 'node:fs'
import { rm, stat } from 'node:fs/promises'
import type { Closable } from '../../interface/lifecycle.ts'
import type { Logger } from '../../interface/logger.ts'
import { createKeyFile, loadKeyEncryptionKey, writeKeyFile } from './key-encryption-key.ts'
import type { RekeyReport, SlotFile } from './slot-file.ts'
import type { Kek } from './wrapping-key.ts'

const LOOK_EVERY_MS = 500
const RETRY_MS = 1000

/** Where the key that follows lies until every slot is sealed under it. */
export const nextKekPath = (file: string) => `${file}.next`

/** Lays the key that follows beside the one in use; false where one lies there already, from a change under way. */
export function proposeNextKek(file: string): Promise<boolean> {
  return createKeyFile(nextKekPath(file))
}

/** True while a change of keys is under way. */
export function hasNextKek(file: string): Promise<boolean> {
  return stat(nextKekPath(file)).then(
    () => true,
    () => false,
  )
}

/**
 * Changes the key encryption key of an open store to the one that lies beside it, if one does. A crash at any point is
 * made good by calling it again: until the file in use holds the new key, both files are there.
 * @throws {StoreError} the key cannot be read, or a slot not be written
 */
export async function takeNextKek(file: string, slots: SlotFile): Promise<RekeyReport | undefined> {
  if (!(await hasNextKek(file))) return undefined
  const report = await slots.rekey(await loadKeyEncryptionKey(nextKekPath(file), { create: false }))
  await settleNextKek(file)
  return report
}

/** Looks for a key that follows until it is disposed of, and takes it. Does not keep the process alive. */
export function watchNextKek(file: string, { slots, logger }: { slots: SlotFile; logger?: Logger }): Closable {
  const path = nextKekPath(file)
  let taking: Promise<void> = Promise.resolve()
  let retry: NodeJS.Timeout | undefined
  const take = async () => {
    try {
      const report = await takeNextKek(file, slots)
      if (report !== undefined) logger?.info({ ...report, kek: slots.kekName }, 'the key encryption key was changed')
    } catch (error) {
      logger?.error(
        { reason: (error as Error).message },
        'the key encryption key was not changed yet; what is sealed under the old one still opens',
      )
      // Its file does not change again when the disk works again.
      retry = setTimeout(onChange, RETRY_MS).unref()
    }
  }
  const onChange = () => {
    clearTimeout(retry)
    taking = taking.then(take)
  }
  watchFile(path, { interval: LOOK_EVERY_MS, persistent: false }, onChange)
  // One that a crash has left behind does not change any more.
  onChange()
  const close = async () => {
    unwatchFile(path, onChange)
    await taking
    clearTimeout(retry)
  }
  return { close, [Symbol.asyncDispose]: close }
}

/** The file in use gets the new key where the old one stood, so that this is gone from the disk; then the other file goes. */
async function settleNextKek(file: string): Promise<void> {
  const next = await loadKeyEncryptionKey(nextKekPath(file), { create: false })
  try {
    await writeKeyFile(file, next, 'r+')
  } finally {
    next.wipe()
  }
  await rm(nextKekPath(file), { force: true })
}

/** The key in use and the one before it, where a change is under way. */
export async function keksInUse(file: string, current: Kek): Promise<{ kek: Kek; earlier?: Kek }> {
  if (!(await hasNextKek(file))) return { kek: current }
  return { kek: await loadKeyEncryptionKey(nextKekPath(file), { create: false }), earlier: current }
}
