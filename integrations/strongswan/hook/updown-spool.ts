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
const POLL_MS = 500
/** How long a "down" waits for an "up" of the moment before, which the hook may finish later. */
const HOLD_MS = 1_000
/** A file that was begun this long ago will not be finished. */
const STALE_MS = 60_000
/** Files taken in one go; the rest waits for the next. */
const BATCH = 256
const NAME = /^(?<time>\d{1,20})\.\d+\.(?<uniqueId>\d{1,10})\.(?<direction>up|down)$/
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
    const { spoolDir } = this.#options
    const names = await readdir(spoolDir)
    const files = dueFiles(names.map(parseName).filter(file => file !== undefined))
    if (files.length > BATCH) this.#again = true
    for (const file of files.slice(0, BATCH)) await this.#take(file)
    for (const name of names.filter(each => PART.test(each)).slice(0, BATCH)) await removeStale(join(spoolDir, name))
  }

  async #take({ name, atMs }: SpoolFile): Promise<void> {
    const path = join(this.#options.spoolDir, name)
    const text = await readBounded(path).catch(() => undefined)
    const event = text === undefined ? undefined : parseUpdownFile(text, atMs)
    // Before it is told, so that a listener that fails doesn't make it come again.
    await rm(path, { force: true, recursive: true })
    if (event === undefined) this.#logger.warn({ file: name }, 'a file in the spool is none of the hook')
    else this.#options.onEvent(event)
  }
}

/** What the name of a file in the spool says. */
interface SpoolFile {
  readonly name: string
  readonly atNs: bigint
  readonly atMs: number
  readonly uniqueId: string
  readonly direction: string
}

function parseName(name: string): SpoolFile | undefined {
  const parts = NAME.exec(name)?.groups
  if (parts === undefined) return undefined
  const atNs = BigInt(parts.time!)
  return { name, atNs, atMs: Number(atNs / 1_000_000n), uniqueId: parts.uniqueId!, direction: parts.direction! }
}

/**
 * What may be told, in order. A "down" that is fresh waits: if the "up" of the IKE_SA that takes over were told after it, the
 * traffic would seem to have been down. It waits no longer than for a later "up" of its own IKE_SA.
 */
function dueFiles(files: SpoolFile[]): SpoolFile[] {
  const nowMs = Date.now()
  const sorted = files.sort((a, b) => (a.atNs === b.atNs ? (a.name < b.name ? -1 : 1) : a.atNs < b.atNs ? -1 : 1))
  return sorted.filter(({ direction, atMs, uniqueId }, at) => {
    // A time to come is that of a clock that was set back since.
    const fresh = nowMs - atMs >= 0 && nowMs - atMs < HOLD_MS
    if (direction === 'up' || !fresh) return true
    return sorted.slice(at + 1).some(later => later.direction === 'up' && later.uniqueId === uniqueId)
  })
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
