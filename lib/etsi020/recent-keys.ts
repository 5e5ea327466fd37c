const MAX_RECENT = 4_096

/** Work that was done of late, by name: a repetition hears how it went and does nothing. What failed may be tried again. */
export class RecentKeys {
  readonly #done = new Map<string, Promise<void>>()

  /** Runs `work` unless it runs or went well under that name. */
  once(name: string, work: () => Promise<void>): Promise<void> {
    const before = this.#done.get(name)
    if (before !== undefined) return before
    const running = work()
    this.#done.set(name, running)
    running.catch(() => this.#done.delete(name))
    const oldest = this.#done.size > MAX_RECENT ? this.#done.keys().next().value : undefined
    if (oldest !== undefined) this.#done.delete(oldest)
    return running
  }
}
