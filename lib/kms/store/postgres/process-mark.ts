import { randomUUID } from 'node:crypto'
import { readFile, readlink } from 'node:fs/promises'
import { isAlive, type Owner, thisProcess } from '../store-owner.ts'

/** A process of some host: one of this host can be seen to be dead. */
interface ProcessMark extends Owner {
  /** Distinguishes hosts, their starts, and the containers on them. */
  readonly host: string
  /** Distinguishes parts of one process. */
  readonly part: string
}

/** A mark of this process, as text; each call gives another. */
export async function markThisProcess(): Promise<string> {
  const mark: ProcessMark = { ...(await thisProcess()), host: await hostMark(), part: randomUUID() }
  return JSON.stringify(mark)
}

/** True only where the process was one of this host and has ended; of other hosts nothing is known. */
export async function isKnownDead(mark: string): Promise<boolean> {
  try {
    const { host, part: _, ...owner } = JSON.parse(mark) as ProcessMark
    return host !== '' && host === (await hostMark()) && !(await isAlive(owner))
  } catch {
    return false
  }
}

/** Empty where the system does not tell. */
async function hostMark(): Promise<string> {
  try {
    const boot = (await readFile('/proc/sys/kernel/random/boot_id', 'utf8')).trim()
    return `${boot} ${await readlink('/proc/self/ns/pid')}`
  } catch {
    return ''
  }
}
