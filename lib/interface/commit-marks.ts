/** How far a pool's store had got, as it was written down where a copy of the store does not bring it back. */
export interface CommitMark {
  readonly poolEpoch: number
  /** `PoolRecord.commits`. */
  readonly commits: number
  /** True where this store was watched without a gap since the pool epoch began: it can be a witness for the peer's. */
  readonly isWhole: boolean
}

/**
 * A second copy of the stores' commit numbers, outside their directory (rule R6): a store that opens behind it was put
 * back. Never ahead of what is durable in the store.
 */
export interface CommitMarks {
  /** What was written of that pool last, by this process or one before. */
  read(poolId: string): CommitMark | undefined
  /** Writes a mark in place of the one before, within a second; what fails is tried again with the next. */
  note(poolId: string, mark: CommitMark): void
  /** Writes what was noted now. */
  flush(): Promise<void>
}
