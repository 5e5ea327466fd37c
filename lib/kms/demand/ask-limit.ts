const DECREASE = 0.5
const INCREASE = 1.1

/**
 * How much is asked of a network that grants less than it is asked: half of the last ask, though never less than it
 * granted, and from there a tenth more each time. So several askers that share a link come to fair parts of it, and what
 * is free again is found.
 */
export class AskLimit {
  #limit = Number.POSITIVE_INFINITY

  /** True while the network gives less than is wanted of it. */
  get isLimited(): boolean {
    return Number.isFinite(this.#limit)
  }

  /** What to ask, where `wanted` is wanted. */
  ask(wanted: number): number {
    return Math.min(wanted, this.#limit)
  }

  /** What became of it: `wanted` was wanted, `asked` asked, `granted` granted, all in the same unit. */
  answer({ wanted, asked, granted }: { wanted: number; asked: number; granted: number }): void {
    if (granted < asked) this.#limit = Math.max(asked * DECREASE, granted)
    // The whole of what is wanted was granted: nothing limits any more.
    else if (asked >= wanted) this.#limit = Number.POSITIVE_INFINITY
    // From nothing a tenth more is nothing: it begins with a small part of what is wanted.
    else this.#limit = Math.max(this.#limit * INCREASE, wanted / 100)
  }
}
