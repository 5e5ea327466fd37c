import { randomUUID } from 'node:crypto'
import { mkdir, open, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { InvalidArgumentError, StoreError } from '../../errors.ts'
import type { SecretKey } from '../../key/secret-key.ts'
import { syncDirectory } from '../../util/sync-directory.ts'
import { encodeState, feedingDigest, readState, stateName } from './feeding-state.ts'
import { fileOf, listRecording, REPLAY_BLOCK_BYTES, recordedFileName } from './recording.ts'
import { readSpentMark } from './spent-mark.ts'

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
 * @throws {InvalidArgumentError} these keys were fed before: what is given once is never given again
 * @throws {StoreError} the directory can't be written
 */
export async function feedRecording(directory: string, keys: readonly SecretKey[]): Promise<FedRecording> {
  await mkdir(directory, { recursive: true, mode: 0o700 })
  const number = await nextNumber(directory)
  const { fed, rest } = await readState(directory, number)
  const sizeBytes = keys.reduce((sum, key) => sum + key.sizeBytes, rest.byteLength)
  const all = Buffer.allocUnsafeSlow(Math.max(1, sizeBytes))
  try {
    rest.copy(all)
    let at = rest.byteLength
    for (const key of keys) at += writeKey(key, all, at)
    const digest = feedingDigest(all.subarray(rest.byteLength, at))
    if (fed.some(other => other.equals(digest))) {
      throw new InvalidArgumentError(`These keys were fed into ${directory} before, and no key is used twice`)
    }
    const blocks = Math.floor(sizeBytes / REPLAY_BLOCK_BYTES)
    const whole = blocks * REPLAY_BLOCK_BYTES
    const state = encodeState({ fed: [...fed, digest], rest: all.subarray(whole, sizeBytes) })
    try {
      await place(directory, stateName(blocks === 0 ? number : number + 1), state)
    } finally {
      state.fill(0)
    }
    const file = blocks === 0 ? undefined : recordedFileName(number)
    if (file !== undefined) {
      // From here on the next feeding goes by the new state.
      await place(directory, file, all.subarray(0, whole))
      await rm(join(directory, stateName(number)), { force: true })
    }
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
