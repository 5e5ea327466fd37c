import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import { once } from 'node:events'
import { access } from 'node:fs/promises'
import { createInterface } from 'node:readline'
import { abortable, ConfigError, QkdError, StoreError, startDeadline } from '../../../lib/index.ts'
import { type DumpRecord, formatDump, parseDump, requireWritable } from './dump-record.ts'
import { type LockFileFault, mendLockFile } from './lock-file.ts'

/** Exit code of flock(1) where another held the lock the whole time. */
const BUSY = 75
const MAX_STDERR_CHARS = 4_000
const MAX_LINES = 100_000
/** How long a shell that has ended may still be heard, in milliseconds. */
const LAST_WORDS_MS = 200

/**
 * What runs under our own lock. It reads commands, so that the lock is held from the look at the lock file to the end of
 * the load; kdb5_util inherits it, and so holds it when this program dies in between. Node gives a child a socket as its
 * standard input, which kdb5_util can't open by name: hence the pipe. `head` takes the record's bytes and no more.
 */
const SCRIPT = `PATH=$PATH:/usr/sbin:/sbin
echo ready
while read -r command argument; do
  case $command in
    dump) kdb5_util -r "$1" dump - "$argument" ;;
    load) head -c "$argument" | kdb5_util -r "$1" load -update /dev/stdin ;;
  esac
  echo "end $?"
done`

/** Where a realm's database is, and with what its programs run. */
export interface DatabaseLocation {
  readonly realm: string
  /** Path of the db2 database, `database_name` in kdc.conf. */
  readonly database: string
  /** Variables for MIT's programs besides those of this process, such as KRB5_KDC_PROFILE. Nothing secret. */
  readonly environment?: Readonly<Record<string, string>>
  /** For one look or change, the wait for our own lock included, in milliseconds. */
  readonly timeoutMs: number
}

/** A realm's database while nobody else of us changes it. */
export interface DatabaseSession {
  /** Found and mended before anything else was done. */
  readonly fault: LockFileFault | undefined
  /** The record of that principal; undefined where there is none. */
  read(principal: string): Promise<DumpRecord | undefined>
  /**
   * Puts the records into the live database. The KDC sees them at once.
   * @throws {ProtocolError} a record is out of range; nothing was loaded
   * @throws {StoreError} kdb5_util refused; the lock file that it then leaves deleted is mended
   */
  load(records: readonly DumpRecord[]): Promise<void>
}

/**
 * Runs `use` with the database under our own lock (`DATABASE.qkd.lock`, held by the kernel until the last process of the
 * session is gone). A lock file of MIT's own that is missing was left by a load that failed or was killed; it disables
 * the realm, and is made again first.
 * @throws {ConfigError} the programs are not installed, or there is no such database
 * @throws {StoreError} another holds the lock, or MIT's programs failed
 */
export async function withDatabase<T>(
  location: DatabaseLocation,
  use: (session: DatabaseSession) => Promise<T>,
  { signal }: { signal?: AbortSignal } = {},
): Promise<T> {
  const { realm, database, environment = {}, timeoutMs } = location
  signal?.throwIfAborted()
  await requireDatabase(database)
  const variables = Object.entries(environment).map(([name, value]) => `${name}=${value}`)
  const seconds = String(timeoutMs / 1000)
  const lock = ['flock', '-w', seconds, '-E', String(BUSY), `${database}.qkd.lock`]
  const child = spawn('env', [...variables, ...lock, 'sh', '-c', SCRIPT, 'sh', realm])
  // A load that is under way must not be cut off: the caller's signal counts before it, the deadline always.
  using deadline = startDeadline(undefined, 2 * timeoutMs)
  const session = new ShellSession(child, { location, signal: deadline.signal })
  try {
    await session.begin()
    signal?.throwIfAborted()
    return await use(session)
  } finally {
    await session.end()
  }
}

class ShellSession implements DatabaseSession {
  fault: LockFileFault | undefined
  readonly #child: ChildProcessWithoutNullStreams
  readonly #location: DatabaseLocation
  readonly #signal: AbortSignal
  readonly #lines: AsyncIterator<string>
  readonly #exited: Promise<unknown>
  #stderr = ''
  #spawnError: Error | undefined

  constructor(
    child: ChildProcessWithoutNullStreams,
    { location, signal }: { location: DatabaseLocation; signal: AbortSignal },
  ) {
    this.#child = child
    this.#location = location
    this.#signal = signal
    const reader = createInterface({ input: child.stdout })
    this.#lines = reader[Symbol.asyncIterator]()
    this.#exited = once(child, 'close').catch((error: Error) => {
      this.#spawnError = error
    })
    child.stdin.on('error', () => {})
    // A load that outlives its shell keeps these open; nobody here waits for it, the lock does.
    child.once('exit', () => {
      setTimeout(() => {
        reader.close()
        child.stdout.destroy()
        child.stderr.destroy()
      }, LAST_WORDS_MS).unref()
    })
    child.stderr.on('data', chunk => {
      this.#stderr = (this.#stderr + String(chunk)).slice(-MAX_STDERR_CHARS)
    })
  }

  async begin(): Promise<void> {
    const line = await this.#line()
    if (line !== 'ready') throw await this.#failure('did not begin')
    this.fault = await mendLockFile(this.#location.database)
  }

  async read(principal: string): Promise<DumpRecord | undefined> {
    const text = await this.#command(`dump ${principal}`)
    // The name is a pattern to kdb5_util, in which a point stands for any character.
    return parseDump(text).find(record => record.principal === principal)
  }

  async load(records: readonly DumpRecord[]): Promise<void> {
    const text = Buffer.from(formatDump(records.map(requireWritable)), 'latin1')
    try {
      await this.#command(`load ${text.byteLength}`, text)
    } catch (error) {
      const mended = await mendLockFile(this.#location.database)
      if (mended === undefined || !(error instanceof QkdError)) throw error
      throw new StoreError(`${error.message}; ${mended.description}`, { cause: error })
    }
  }

  /** Lets go of the lock. */
  async end(): Promise<void> {
    this.#child.stdin.end()
    try {
      await abortable(this.#exited, { signal: this.#signal })
    } catch {
      this.#child.kill('SIGKILL')
      await this.#exited
    }
  }

  async #command(command: string, input?: Uint8Array): Promise<string> {
    this.#stderr = ''
    this.#child.stdin.write(`${command}\n`)
    if (input !== undefined) this.#child.stdin.write(input)
    const output: string[] = []
    for (;;) {
      const line = await this.#line()
      if (line === undefined || output.length > MAX_LINES) throw await this.#failure(`broke off at ${command}`)
      if (line === 'end 0') return `${output.join('\n')}\n`
      if (line.startsWith('end ')) throw this.#refusal(`kdb5_util ${command} ended with ${line.slice(4)}`)
      output.push(line)
    }
  }

  async #line(): Promise<string | undefined> {
    const { value, done } = await abortable(this.#lines.next(), { signal: this.#signal })
    return done ? undefined : value
  }

  /** The shell is gone, or never was. */
  async #failure(what: string): Promise<QkdError> {
    await abortable(this.#exited, { signal: this.#signal })
    if (this.#spawnError !== undefined) {
      return new ConfigError(`Can't run env(1): ${this.#spawnError.message}`, { cause: this.#spawnError })
    }
    if (this.#child.exitCode === BUSY) {
      const lock = `${this.#location.database}.qkd.lock`
      return new StoreError(`Another program holds ${lock}; wait for it, or see with fuser(1) which one`)
    }
    return this.#refusal(what)
  }

  #refusal(what: string): QkdError {
    const { database, realm } = this.#location
    const said = this.#stderr.trim().replace(/\s*\n\s*/g, '; ')
    return new StoreError(`The database of ${realm} (${database}): ${what}${said === '' ? '' : `: ${said}`}`)
  }
}

async function requireDatabase(database: string): Promise<void> {
  try {
    await access(database)
  } catch (cause) {
    throw new ConfigError(`database: can't reach ${database}: ${(cause as NodeJS.ErrnoException).code}`, { cause })
  }
}
