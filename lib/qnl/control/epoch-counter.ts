import type { ControllerMemory } from './controller-memory.ts'

/** A node that claims an epoch further ahead than this is not believed: it would use up the numbers. */
const MOST_AHEAD = 2 ** 40
/** Nor is one beyond this, however small its steps: what is left up to 2^53 no controller uses up. */
const MOST_HEARD = 2 ** 52

/** Numbers plans, ascending over every restart and every controller that shares the memory. */
export class EpochCounter {
  readonly #memory: ControllerMemory
  #last = 0
  #left = 0

  constructor(memory: ControllerMemory) {
    this.#memory = memory
  }

  /** The next number; above every one that was ever given. @throws {StoreError} the memory cannot be written */
  async next(): Promise<number> {
    if (this.#left === 0) {
      const { first, count } = await this.#memory.reserve(this.#last)
      this.#last = first - 1
      this.#left = count
    }
    this.#left -= 1
    this.#last += 1
    return this.#last
  }

  /**
   * A node follows a plan of this number already, so the next one is above it: the memory was lost, or is another's. False
   * where that is not believed.
   */
  heard(epoch: number): boolean {
    if (epoch <= this.#last) return true
    if (epoch > Math.min(this.#last + MOST_AHEAD, MOST_HEARD)) return false
    this.#last = epoch
    this.#left = 0
    return true
  }
}
