import { constants, type FSWatcher, watch } from 'node:fs'
import { mkdir, open, readdir, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { ConfigError, debugLogger, type Logger } from '../../../lib/index.ts'
import type { UpdownEvent } from '../updown-event.ts'
import { parseUpdownFile } from './updown-file.ts'

/** How the agent reads what the hook leaves. */
export interface UpdownSpoolOptions {
  readonly spoolDir: string
  /** Called with each event once, in the order in which charon called. */
  readonly onEvent: (event: UpdownEvent) => void
  readonly logger?: Logger
}

/** 24 values of at most 1,024 characters, each of which may be two when escaped. */
const MAX_FILE_BYTES = 64 * 1024
/** Directories are also read at this pace, because a watch may miss what happens in them. */
const POLL_MS = 1_000
/** A file that was begun this long ago will not be finished. */
const STALE_MS = 60_000
/** Files taken in one go; the rest waits for the next. */
const BATCH = 256
const NAME = /^(\d{1,20})\.\d+\.updown$/
const PART = /^\d{1,20}\.\d+\.part$/

/** The agent's end of the updown hook: takes the files out of the spool directory, oldest first. */
export class UpdownSpool {
  readonly #options: UpdownSpoolOptions
  readonly #logger: Logger
  #watcher: FSWatcher | undefined
  #timer: NodeJS.Timeout | undefined
  #reading: Promise<void> | undefined
  #again = false
  #closed = false

  constructor(options: UpdownSpoolOptions) {
    this.#options = options
    this.#logger = options.logger ?? debugLogger('ipsec')
  }

  /**
   * Makes the directory where it is missing, and takes what waits in it.
   * @throws {ConfigError} the directory can't be made, or others may write to it
   */
  async open(): Promise<void> {
    const { spoolDir } = this.#options
    await prepareSpool(spoolDir)
    // A rename and a failing watch are both only a reason to look.
    this.#watcher = watch(spoolDir, { persistent: false }, () => this.#look()).on('error', () => this.#look())
    this.#timer = setInterval(() => this.#look(), POLL_MS).unref()
    this.#look()
    await this.#reading
  }

  /** Finishes what is being read. Idempotent. */
  async close(): Promise<void> {
    this.#closed = true
    clearInterval(this.#timer)
    this.#watcher?.close()
    await this.#reading
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  #look(): void {
    this.#again = true
    this.#reading ??= this.#read().finally(() => {
      this.#reading = undefined
    })
  }

  async #read(): Promise<void> {
    while (this.#again && !this.#closed) {
      this.#again = false
      try {
        await this.#takeBatch()
      } catch (error) {
        this.#logger.warn({ spoolDir: this.#options.spoolDir, reason: String(error) }, "the hook's files can't be read")
      }
    }
  }

  async #takeBatch(): Promise<void> {
    const { spoolDir, onEvent } = this.#options
    const names = await readdir(spoolDir)
    const files = names.filter(name => NAME.test(name)).sort(byTime)
    if (files.length > BATCH) this.#again = true
    for (const name of files.slice(0, BATCH)) {
      const path = join(spoolDir, name)
      const text = await readBounded(path).catch(() => undefined)
      const event = text === undefined ? undefined : parseUpdownFile(text, Number(timeOf(name) / 1_000_000n))
      // Before it is told, so that a listener that fails doesn't make it come again.
      await rm(path, { force: true, recursive: true })
      if (event === undefined) this.#logger.warn({ file: name }, 'a file in the spool is none of the hook')
      else onEvent(event)
    }
    for (const name of names.filter(name => PART.test(name)).slice(0, BATCH)) await removeStale(join(spoolDir, name))
  }
}

/** Makes the spool directory; what lies in it is believed, so nobody else may write there. */
export async function prepareSpool(spoolDir: string): Promise<void> {
  try {
    await mkdir(spoolDir, { recursive: true, mode: 0o700 })
    const { mode } = await stat(spoolDir)
    if ((mode & 0o022) === 0) return
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    throw new ConfigError(`spoolDir: can't make ${spoolDir} (${code}); make it, or name another`, { cause })
  }
  throw new ConfigError(`spoolDir: others may write to ${spoolDir}; run chmod 0700 ${spoolDir}`)
}

function timeOf(name: string): bigint {
  return BigInt(NAME.exec(name)![1]!)
}

function byTime(a: string, b: string): number {
  const difference = timeOf(a) - timeOf(b)
  return difference === 0n ? (a < b ? -1 : 1) : difference < 0n ? -1 : 1
}

async function readBounded(path: string): Promise<string | undefined> {
  const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
  try {
    const status = await file.stat()
    if (!status.isFile() || status.size > MAX_FILE_BYTES) return undefined
    return await file.readFile('utf8')
  } finally {
    await file.close()
  }
}

async function removeStale(path: string): Promise<void> {
  const status = await stat(path).catch(() => undefined)
  if (status !== undefined && Date.now() - status.mtimeMs > STALE_MS) await rm(path, { force: true })
}
