import { mkdir } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { Closable } from '../../../interface/lifecycle.ts'
import { Opened } from '../../../util/opened.ts'
import { claimDirectory } from '../claim-directory.ts'
import { loadKek } from '../key-encryption-key.ts'
import { takeNextKek } from '../next-kek.ts'
import { allKeks, type StorePlace } from '../open-store.ts'
import { type RekeyReport, SlotFile } from '../slot-file.ts'

/** What a replica keeps on its own host: the slot file with the keys that the database must not have. */
export interface HostDirectory extends Closable {
  readonly slots: SlotFile
  readonly rekeyed: RekeyReport | undefined
}

/**
 * Opens a replica's directory, or makes it. One process at a time has it.
 * @throws {StoreError} another process has it, or its key encryption key is missing or another one
 */
export async function openHostDirectory({ path, kek: source }: StorePlace): Promise<HostDirectory> {
  if ('file' in source) await mkdir(dirname(source.file), { recursive: true, mode: 0o700 })
  const opened = new Opened('directory of a replica')
  try {
    opened.add(await claimDirectory(path))
    const current = await loadKek(source, { create: true, directory: path })
    const slots = opened.add(await SlotFile.open(join(path, 'slots.bin'), await allKeks(source, current, path)))
    const taken = 'file' in source ? await takeNextKek(source.file, slots) : undefined
    const rekeyed = taken ?? (source.previous === undefined ? undefined : await slots.rekey())
    const close = () => opened.close()
    return { slots, rekeyed, close, [Symbol.asyncDispose]: close }
  } catch (error) {
    await opened.close().catch(() => {})
    throw error
  }
}
