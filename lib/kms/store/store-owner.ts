import { readFile, realpath } from 'node:fs/promises'
import { StoreError } from '../../errors.ts'
import type { Lmdb, LmdbFile } from './lmdb-file.ts'

const OWNER_KEY = Buffer.from('owner')

/** Stores that this process has open: its number alone would let it in twice. */
const openHere = new Set<string>()

/**
 * Notes that this process opens the store; gives the way to take that back.
 * @throws {StoreError} it has it open already
 */
export async function enterStore(directory: string): Promise<() => void> {
  const path = await realpath(directory)
  if (openHere.has(path)) throw new StoreError(`The store in ${directory} is open in this process already`)
  openHere.add(path)
  return () => openHere.delete(path)
}

/** A process, told from a later one with the same number. */
export interface Owner {
  readonly pid: number
  /** Distinguishes a process from a later one with the same number; empty where the system doesn't tell. */
  readonly startedAt: string
}

/**
 * Writes this process into the store as its owner, unless the one that stands there is alive. It happens inside LMDB's
 * write transaction, so that of two that start at once exactly one succeeds; a killed owner needs no clean-up.
 * @throws {StoreError} the store is in use
 */
export async function claimOwnership(file: LmdbFile, directory: string): Promise<void> {
  const self = await thisProcess()
  for (;;) {
    const seen = file.read(readOwner)
    if (seen !== undefined && seen.pid !== self.pid && (await isAlive(seen))) {
      throw new StoreError(
        `The store in ${directory} is in use by process ${seen.pid}; stop it, or name another directory`,
      )
    }
    let claimed = false
    await file.write(db => {
      claimed = JSON.stringify(readOwner(db)) === JSON.stringify(seen)
      return () => void (claimed && db.put(OWNER_KEY, Buffer.from(JSON.stringify(self))))
    })
    if (claimed) return
  }
}

/** Takes this process out of the store: it may live on, and another is to have the store. */
export function releaseOwnership(file: LmdbFile): Promise<void> {
  return file.write(db => {
    const isOurs = readOwner(db)?.pid === process.pid
    return () => void (isOurs && db.remove(OWNER_KEY))
  })
}

/** This process. */
export async function thisProcess(): Promise<Owner> {
  return { pid: process.pid, startedAt: await startOf(process.pid) }
}

function readOwner(db: Lmdb): Owner | undefined {
  const value = db.get(OWNER_KEY)
  return value === undefined ? undefined : (JSON.parse(value.toString('utf8')) as Owner)
}

/** True while the process runs. */
export async function isAlive({ pid, startedAt }: Owner): Promise<boolean> {
  try {
    process.kill(pid, 0)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false
  }
  return (await startOf(pid)) === startedAt
}

/** Start time of a process in clock ticks (field 22 of Linux's /proc/PID/stat). */
async function startOf(pid: number): Promise<string> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '')
  // The name in parentheses may hold spaces; fields are counted behind its end.
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? ''
}
