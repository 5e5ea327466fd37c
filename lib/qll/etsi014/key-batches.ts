import type { SecretKey } from '../../key/secret-key.ts'

/** Keys that were had in one go, under a number that both ends know them by. */
interface KeyBatch {
  readonly number: number
  readonly keys: readonly SecretKey[]
  readonly sizeBytes: number
  /** True once both ends have it. */
  shared: boolean
}

/** The batches that one end holds and that are not yet in a block, in the order in which they came. */
export class KeyBatches {
  readonly #batches = new Map<number, KeyBatch>()

  get numbers(): number[] {
    return [...this.#batches.keys()]
  }

  /** Batches that the other end has not yet spoken of. */
  get open(): number {
    return [...this.#batches.values()].filter(({ shared }) => !shared).length
  }

  /** Bytes of all, and of those that both ends have. */
  get sizeBytes(): number {
    return sum([...this.#batches.values()])
  }

  get sharedBytes(): number {
    return sum(this.#shared())
  }

  add(number: number, keys: readonly SecretKey[], { shared }: { shared: boolean }): void {
    this.#batches.set(number, { number, keys, shared, sizeBytes: keys.reduce((size, key) => size + key.sizeBytes, 0) })
  }

  /** Bytes of a batch; undefined where it is not here. */
  sizeOf(number: number): number | undefined {
    return this.#batches.get(number)?.sizeBytes
  }

  /** The other end has it too. */
  share(number: number): void {
    const batch = this.#batches.get(number)
    if (batch !== undefined) batch.shared = true
  }

  /** The oldest ones that both ends have, as many as it takes for so many bytes. */
  choose(sizeBytes: number): number[] {
    const chosen: number[] = []
    let bytes = 0
    for (const batch of this.#shared()) {
      if (bytes >= sizeBytes) break
      chosen.push(batch.number)
      bytes += batch.sizeBytes
    }
    return chosen
  }

  /** Their keys in that order; they are the caller's from now on. Undefined where one is not here. */
  take(numbers: readonly number[]): SecretKey[] | undefined {
    const batches = numbers.map(number => this.#batches.get(number))
    if (batches.some(batch => batch === undefined) || new Set(numbers).size < numbers.length) return undefined
    for (const number of numbers) this.#batches.delete(number)
    return batches.flatMap(batch => batch!.keys)
  }

  drop(number: number): void {
    for (const key of this.#batches.get(number)?.keys ?? []) key.wipe()
    this.#batches.delete(number)
  }

  /** Drops all but those; what stays, both ends have. */
  retain(numbers: readonly number[]): void {
    for (const number of this.numbers) {
      if (numbers.includes(number)) this.share(number)
      else this.drop(number)
    }
  }

  #shared(): KeyBatch[] {
    return [...this.#batches.values()].filter(({ shared }) => shared)
  }
}

function sum(batches: readonly KeyBatch[]): number {
  return batches.reduce((size, batch) => size + batch.sizeBytes, 0)
}
