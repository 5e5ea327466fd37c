import { rm } from 'node:fs/promises'
import { replaceKeytab } from '../keytab-sink.ts'
import type { KvnoEntry } from '../kvno-table.ts'

/** Versions in the file at a time; the ones that were asked for the longest ago go first. */
const MAX_VERSIONS = 64

/**
 * The keytab of an acceptor: a file of its own in which the versions stand that clients came with lately. Versions are added,
 * never swapped, for other clients may be in the middle of their own.
 */
export class AcceptorKeytab {
  readonly path: string
  readonly #now: () => number
  #versions: KvnoEntry[] = []
  #last: Promise<void> = Promise.resolve()

  constructor(path: string, { now }: { now: () => number }) {
    this.path = path
    this.#now = now
  }

  /** When it resolves, the version is in the file, and versions that have ended are not. */
  async admit(version: KvnoEntry): Promise<void> {
    const turn = this.#last.then(() => this.#admitNow(version))
    this.#last = turn.catch(() => {})
    await turn
  }

  /** Removes the file. */
  async remove(): Promise<void> {
    await this.#last
    this.#versions = []
    await rm(this.path, { force: true })
  }

  async #admitNow(version: KvnoEntry): Promise<void> {
    const same = ({ principal, epoch }: KvnoEntry) => principal === version.principal && epoch === version.epoch
    const living = this.#versions.filter(held => !this.#hasEnded(held))
    if (living.some(same) && living.length === this.#versions.length) return
    const wanted = [...living.filter(held => !same(held)), version].slice(-MAX_VERSIONS)
    await replaceKeytab(this.path, wanted.flatMap(entriesOf))
    this.#versions = wanted
  }

  /** The table wipes what has ended. */
  #hasEnded({ endsMs, keys }: KvnoEntry): boolean {
    return (endsMs !== undefined && endsMs <= this.#now()) || keys.some(({ secret }) => secret.wiped)
  }
}

function entriesOf({ principal, kvno, sinceMs, keys }: KvnoEntry) {
  const timestamp = Math.floor(sinceMs / 1000)
  return keys.map(({ enctype, secret }) => ({ principal, timestamp, kvno, enctype, secret }))
}
