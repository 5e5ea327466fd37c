import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { Closable } from '../../interface/lifecycle.ts'
import { LmdbFile } from './lmdb-file.ts'
import { claimOwnership, enterStore } from './store-owner.ts'

/**
 * Takes a directory for this process alone, by a database that holds nothing but who has it.
 * @throws {StoreError} another process has it, or this one already
 */
export async function claimDirectory(directory: string): Promise<Closable> {
  await mkdir(directory, { recursive: true, mode: 0o700 })
  const leave = await enterStore(directory)
  const owner = new LmdbFile(join(directory, 'owner.mdb'))
  const close = async () => {
    await owner.close()
    leave()
  }
  try {
    await claimOwnership(owner, directory)
  } catch (error) {
    await close()
    throw error
  }
  return { close, [Symbol.asyncDispose]: close }
}
