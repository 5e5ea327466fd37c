import type { Change, CommitResult } from '../../interface/pool-store.ts'

/** One caller's changes, and how to tell it what became of them. */
interface Waiting {
  readonly changes: readonly Change[]
  resolve(result: CommitResult): void
  reject(error: unknown): void
}

/**
 * Puts what is to be committed in one turn of the event loop into one commit: a block is read and written once for all of its
 * keys. Where the store refuses any of it, each caller's changes go by themselves, so that nobody is refused for another.
 */
export class CommitGroup {
  readonly #commit: (changes: readonly Change[]) => Promise<CommitResult>
  #waiting: Waiting[] = []

  constructor(commit: (changes: readonly Change[]) => Promise<CommitResult>) {
    this.#commit = commit
  }

  /** Commits changes, all of them or none; see `PoolStore.commit`. */
  commit(changes: readonly Change[]): Promise<CommitResult> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ changes, resolve, reject })
      if (this.#waiting.length === 1) setImmediate(() => void this.#flush(this.#waiting.splice(0)))
    })
  }

  async #flush(group: readonly Waiting[]): Promise<void> {
    try {
      const result = await this.#commit(group.flatMap(({ changes }) => changes))
      if (result.ok || group.length === 1) for (const { resolve } of group) resolve(result)
      else for (const { changes, resolve, reject } of group) this.#commit(changes).then(resolve, reject)
    } catch (error) {
      for (const { reject } of group) reject(error)
    }
  }
}
