import { chown, open, readdir, readFile, readlink, stat } from 'node:fs/promises'
import { StoreError } from '../../../lib/index.ts'

/** A database whose lock file was missing, and was mended. */
export interface LockFileFault {
  readonly lockFile: string
  /** For a person: what was found and done. */
  readonly description: string
}

/** The lock file of MIT's administration database, without which kadmin, kdb5_util and a restarted KDC refuse. */
export function lockFileOf(database: string): string {
  return `${database}.kadm5.lock`
}

/** True unless the lock file is missing. */
export async function hasLockFile(database: string): Promise<boolean> {
  return await stat(lockFileOf(database)).then(
    () => true,
    (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return false
      throw error
    },
  )
}

/**
 * Makes the lock file again where it is missing. Every load unlinks it and creates it at its end, so a load that failed or
 * was killed leaves none; to be called under our own lock, which any load of ours holds.
 * @throws {StoreError} a kdb5_util that is not ours has the database open, so that it may be its work
 */
export async function mendLockFile(database: string): Promise<LockFileFault | undefined> {
  if (await hasLockFile(database)) return undefined
  const lockFile = lockFileOf(database)
  const holder = await processWithDatabase(database)
  if (holder !== undefined) {
    throw new StoreError(`kdb5_util (process ${holder}) has ${database} locked; try again when it has ended`)
  }
  const { uid, gid } = await stat(database)
  try {
    await (await open(lockFile, 'wx', 0o600)).close()
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return undefined
    throw new StoreError(`Can't make ${lockFile}: ${(error as Error).message}`, { cause: error })
  }
  await chown(lockFile, uid, gid)
  const description = `${lockFile} was missing, as after a kdb5_util load that failed or was killed; it was made again`
  return { lockFile, description }
}

/** A kdb5_util that has a file of the database open; undefined for none. */
async function processWithDatabase(database: string): Promise<number | undefined> {
  for (const pid of await readdir('/proc')) {
    if (!/^\d+$/.test(pid)) continue
    try {
      if ((await readFile(`/proc/${pid}/comm`, 'utf8')).trim() !== 'kdb5_util') continue
      for (const fd of await readdir(`/proc/${pid}/fd`)) {
        if ((await readlink(`/proc/${pid}/fd/${fd}`)).startsWith(database)) return Number(pid)
      }
    } catch {
      // It has ended meanwhile, or is another user's.
    }
  }
  return undefined
}
