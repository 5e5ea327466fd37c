import { open } from 'node:fs/promises'

/** A name that was put in place is there after a power cut only once its directory is on the disk too. */
export async function syncDirectory(directory: string): Promise<void> {
  const handle = await open(directory, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}
