import { open, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { ConfigError, StoreError } from '../../errors.ts'
import type { LinkBlock } from '../../interface/link.ts'
import { SecretKey } from '../../key/secret-key.ts'
import { syncDirectory } from '../../util/sync-directory.ts'
import { readSpentMark, type SpentMark, writeSpentMark } from './spent-mark.ts'

/** Bytes of a block: what pools take. */
export const REPLAY_BLOCK_BYTES = 32_000
/** A block is numbered by its file and its place in it. */
const PLACE_BITS = 24n
const NAME = /^(\d{8})\.key$/

/** One file of a recording: whole blocks of key and nothing else. */
export interface RecordedFile {
  readonly number: number
  readonly path: string
  readonly blocks: number
}

/** The files of a recording, in order. */
export async function listRecording(directory: string): Promise<RecordedFile[]> {
  const names = (await readdir(directory)).filter(name => NAME.test(name)).sort()
  const files: RecordedFile[] = []
  for (const name of names) {
    const path = join(directory, name)
    const handle = await open(path, 'r').catch(() => undefined)
    if (handle === undefined) continue
    try {
      const { size, mode } = await handle.stat()
      if ((mode & 0o077) !== 0) throw new ConfigError(`Others may read or write ${path}; run: chmod 600 ${path}`)
      files.push({ number: Number(NAME.exec(name)![1]), path, blocks: Math.floor(size / REPLAY_BLOCK_BYTES) })
    } finally {
      await handle.close()
    }
  }
  return files
}

/** Name of the file with that number. */
export function recordedFileName(number: number): string {
  return `${String(number).padStart(8, '0')}.key`
}

/** Number of the file in which a block stands. */
export function fileOf(blockNumber: bigint): number {
  return Number(blockNumber >> PLACE_BITS)
}

/**
 * One end's copy of a recording: numbered files of key, given out block by block. A block is marked as used, durably, before
 * it's given; a file whose blocks are all used is overwritten and removed.
 */
export class Recording {
  readonly #directory: string
  readonly #owner: Omit<SpentMark, 'number'>
  #spent: bigint
  /** As far as the mark on disk says. */
  #marked: bigint

  private constructor(directory: string, owner: Omit<SpentMark, 'number'>, spent: bigint) {
    this.#directory = directory
    this.#owner = owner
    this.#spent = spent
    this.#marked = spent
  }

  /**
   * @throws {ConfigError} the directory is not there, or feeds another end
   * @throws {StoreError} the mark of used key can't be read
   */
  static async open(directory: string, owner: Omit<SpentMark, 'number'>): Promise<Recording> {
    await readdir(directory).catch((cause: NodeJS.ErrnoException) => {
      throw new ConfigError(`The recording ${directory} can't be read (${cause.code}); make it: qkd link replay`, {
        cause,
      })
    })
    const mark = await readSpentMark(directory)
    if (mark !== undefined && (mark.siteId !== owner.siteId || mark.linkId !== owner.linkId)) {
      throw new ConfigError(
        `The recording ${directory} feeds link "${mark.linkId}" at ${mark.siteId}: each end needs a copy of its own`,
      )
    }
    return new Recording(directory, owner, mark?.number ?? 0n)
  }

  /** Every block at or below `after` counts as used from now on. */
  passOver(after: bigint): void {
    if (after > this.#spent) this.#spent = after
  }

  /**
   * The next block, marked as used; undefined where there is none now.
   * @throws {StoreError} it can't be read, or not be marked: then it isn't given
   */
  async next(): Promise<LinkBlock | undefined> {
    for (const file of await listRecording(this.#directory)) {
      const first = BigInt(file.number) << PLACE_BITS
      const place = this.#spent < first ? 0 : Number(this.#spent - first) + 1
      if (place >= file.blocks) {
        await this.#erase(file)
        continue
      }
      const number = first + BigInt(place)
      const secret = await this.#read(file, place)
      try {
        await this.#mark(number)
      } catch (error) {
        secret.wipe()
        throw error
      }
      this.#spent = number
      return { number, secret }
    }
    return undefined
  }

  async #mark(number: bigint): Promise<void> {
    await writeSpentMark(this.#directory, { ...this.#owner, number })
    this.#marked = number
  }

  async #read({ path }: RecordedFile, place: number): Promise<SecretKey> {
    const bytes = Buffer.allocUnsafeSlow(REPLAY_BLOCK_BYTES)
    const file = await open(path, 'r')
    try {
      const { bytesRead } = await file.read(bytes, 0, REPLAY_BLOCK_BYTES, place * REPLAY_BLOCK_BYTES)
      if (bytesRead !== REPLAY_BLOCK_BYTES) throw new StoreError(`${path} was cut short while it was read`)
      return SecretKey.adopt(bytes)
    } finally {
      await file.close()
    }
  }

  /** Only once the mark says so: a crash before leaves the file, and the mark that its blocks are used. */
  async #erase({ path, blocks, number }: RecordedFile): Promise<void> {
    if (fileOf(this.#spent) < number) return
    // What the taker had spent was passed over, and no mark says so yet.
    const last = (BigInt(number) << PLACE_BITS) + BigInt(Math.max(0, blocks - 1))
    if (this.#marked < last) await this.#mark(last)
    const file = await open(path, 'r+')
    try {
      await file.write(Buffer.alloc(blocks * REPLAY_BLOCK_BYTES), 0, undefined, 0)
      await file.sync()
    } finally {
      await file.close()
    }
    await rm(path, { force: true })
    await syncDirectory(this.#directory)
  }
}
