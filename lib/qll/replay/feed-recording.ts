import { randomUUID } from 'node:crypto'
import { mkdir, open, readFile, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { StoreError } from '../../errors.ts'
import type { SecretKey } from '../../key/secret-key.ts'
import { fileOf, listRecording, REPLAY_BLOCK_BYTES, recordedFileName } from './recording.ts'
import { readSpentMark, syncDirectory } from './spent-mark.ts'

/** What is left over until there is a whole block. */
const REST = 'rest.part'

/** What feeding a recording came to. */
export interface FedRecording {
  /** Name of the file that was added; undefined where the key did not make up a block. */
  readonly file: string | undefined
  readonly blocks: number
  /** Bytes that wait for the next feeding. */
  readonly restBytes: number
}

/**
 * Adds recorded keys to one end's copy of a recording, one after the other, cut into whole blocks; what is left over goes
 * before the next ones. Both ends must be fed the same keys in the same order. The keys stay the caller's.
 * @throws {StoreError} the directory can't be written
 */
export async function feedRecording(directory: string, keys: readonly SecretKey[]): Promise<FedRecording> {
  await mkdir(directory, { recursive: true, mode: 0o700 })
  const rest = await readFile(join(directory, REST)).catch(() => Buffer.alloc(0))
  const sizeBytes = keys.reduce((sum, key) => sum + key.sizeBytes, rest.byteLength)
  const all = Buffer.allocUnsafeSlow(Math.max(1, sizeBytes))
  try {
    rest.copy(all)
    let at = rest.byteLength
    for (const key of keys) at += writeKey(key, all, at)
    const blocks = Math.floor(sizeBytes / REPLAY_BLOCK_BYTES)
    const whole = blocks * REPLAY_BLOCK_BYTES
    const file = blocks === 0 ? undefined : recordedFileName(await nextNumber(directory))
    if (file !== undefined) await place(directory, file, all.subarray(0, whole))
    // A crash in between leaves the old rest, whose bytes are in the new file: the ends then differ, and their KMSs see it.
    if (sizeBytes > whole) await place(directory, REST, all.subarray(whole, sizeBytes))
    else await rm(join(directory, REST), { force: true })
    return { file, blocks, restBytes: sizeBytes - whole }
  } finally {
    rest.fill(0)
    all.fill(0)
  }
}

function writeKey(key: SecretKey, into: Buffer, at: number): number {
  return key.expose('replay-file', bytes => {
    into.set(bytes, at)
    return bytes.byteLength
  })
}

/** Above every file that is there, and every one that was: a used number never comes again. */
async function nextNumber(directory: string): Promise<number> {
  const files = await listRecording(directory)
  const mark = await readSpentMark(directory)
  return Math.max(0, ...files.map(({ number }) => number), mark === undefined ? 0 : fileOf(mark.number)) + 1
}

async function place(directory: string, name: string, bytes: Uint8Array): Promise<void> {
  const draft = join(directory, `${name}.${randomUUID()}.tmp`)
  try {
    const file = await open(draft, 'wx', 0o600)
    try {
      await file.writeFile(bytes)
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(draft, join(directory, name))
    await syncDirectory(directory)
  } catch (cause) {
    throw new StoreError(`The recording ${directory} can't be written: ${(cause as Error).message}`, { cause })
  }
}
