import { StoreError } from '../../errors.ts'
import type { LinkMarks, LinkStock, StockChange, StockSnapshot } from '../../interface/link-stock.ts'
import type { SecretKey } from '../../key/secret-key.ts'

const NEW_MARKS: LinkMarks = { commits: 0, heardCommits: 0, floor: 0n }

/** The stock of a site that keeps nothing on disk: marks alone, since key in memory dies with the process anyway. */
export class MemoryLinkStock implements LinkStock {
  readonly #marks = new Map<string, LinkMarks>()

  async snapshot(linkId: string): Promise<StockSnapshot> {
    return { marks: this.#marks.get(linkId) ?? NEW_MARKS, numbers: [] }
  }

  async commit(linkId: string, changes: readonly StockChange[]): Promise<LinkMarks> {
    let { commits, heardCommits, floor } = this.#marks.get(linkId) ?? NEW_MARKS
    for (const change of changes) {
      if (change.kind === 'hear') heardCommits = Math.max(heardCommits, change.commits)
      if (change.kind === 'advance') commits = Math.max(commits, change.commits)
      if (change.kind === 'floor' && change.number > floor) floor = change.number
    }
    const marks = { commits: commits + 1, heardCommits, floor }
    this.#marks.set(linkId, marks)
    return marks
  }

  async read(linkId: string, number: bigint): Promise<SecretKey> {
    throw new StoreError(`The stock of link "${linkId}" keeps no key, and so no block ${number}`)
  }

  async close(): Promise<void> {}

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}
