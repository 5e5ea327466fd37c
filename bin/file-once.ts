import { randomUUID } from 'node:crypto'
import { link, open, rename, rm } from 'node:fs/promises'

/** How a file is put in place. */
export interface PlaceOptions {
  /** Permission bits, such as 0o600 for what is secret. */
  readonly mode: number
  /** Replaces a file of that name; otherwise it's kept. */
  readonly replace: boolean
}

/**
 * Puts a whole file in place or nothing: it is written under another name beside it, synced, and then renamed. Gives false
 * where a file of that name stood there and was kept.
 */
export async function placeFile(
  path: string,
  content: string | Uint8Array,
  { mode, replace }: PlaceOptions,
): Promise<boolean> {
  const draft = `${path}.${randomUUID()}.tmp`
  const file = await open(draft, 'wx', mode)
  try {
    try {
      await file.writeFile(content)
      await file.sync()
    } finally {
      await file.close()
    }
    if (replace) await rename(draft, path)
    // Unlike rename(), link() never takes the place of a file that another process has made meanwhile.
    else await link(draft, path)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST' && !replace) return false
    throw error
  } finally {
    await rm(draft, { force: true })
  }
}
