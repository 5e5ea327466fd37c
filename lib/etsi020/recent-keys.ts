const MAX_RECENT = 4_096

/** Work that was done of late, by name: a repetition hears how it went and does nothing. What failed may be tried again. */
export class RecentKeys {
  readonly #done = new Map<string, { readonly keyIds: readonly string[]; readonly outcome: Promise<void> }>()
  /** Which work a key was last part of. */
  readonly #names = new Map<string, string>()

  /** Runs `work` on those keys unless it runs or went well under that name. */
  once(name: string, keyIds: readonly string[], work: () => Promise<void>): Promise<void> {
    const before = this.#done.get(name)
    if (before !== undefined) return before.outcome
    const outcome = work()
    this.#done.set(name, { keyIds, outcome })
    for (const keyId of keyIds) this.#names.set(keyId, name)
    outcome.catch(() => this.#drop(name))
    const oldest = this.#done.size > MAX_RECENT ? this.#done.keys().next().value : undefined
    if (oldest !== undefined) this.#drop(oldest)
    return outcome
  }

  /** Remembers nothing of what was done with those keys: it was undone. */
  forget(keyIds: readonly string[]): void {
    for (const keyId of keyIds) this.#drop(this.#names.get(keyId) ?? '')
  }

  #drop(name: string): void {
    for (const keyId of this.#done.get(name)?.keyIds ?? []) {
      if (this.#names.get(keyId) === name) this.#names.delete(keyId)
    }
    this.#done.delete(name)
  }
}
