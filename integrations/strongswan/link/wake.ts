import { type AbortOptions, abortable } from '../../../lib/index.ts'

/** Something to sleep on that others end; a call while nobody sleeps ends the next sleep. */
export class Wake {
  #called = false
  #end: () => void = () => {}

  call(): void {
    this.#called = true
    this.#end()
  }

  /** Sleeps until `call()`, or for `ms` milliseconds; for as long as it takes where that is infinite. */
  async sleep(ms: number, { signal }: AbortOptions = {}): Promise<void> {
    if (!this.#called && ms > 0) {
      let timer: NodeJS.Timeout | undefined
      const over = new Promise<void>(resolve => {
        this.#end = resolve
        if (Number.isFinite(ms)) timer = setTimeout(resolve, Math.min(ms, 2 ** 31 - 1)).unref()
      })
      await abortable(over, { signal }).finally(() => clearTimeout(timer))
    }
    this.#called = false
  }
}
