const WIDTH = 30

/** A bar that is drawn over itself on a terminal; elsewhere a line at each quarter, so that a log stays readable. */
export class ProgressBar {
  readonly #label: string
  readonly #stream: NodeJS.WriteStream
  #quarter = -1

  constructor(label: string, stream: NodeJS.WriteStream) {
    this.#label = label
    this.#stream = stream
  }

  update(done: number, wanted: number): void {
    const share = Math.min(1, done / wanted)
    if (this.#stream.isTTY) {
      const filled = Math.round(share * WIDTH)
      const bar = `${'#'.repeat(filled)}${'-'.repeat(WIDTH - filled)}`
      this.#stream.write(`\r${this.#label} [${bar}] ${String(Math.round(share * 100)).padStart(3)} %`)
      return
    }
    const quarter = Math.floor(share * 4)
    if (quarter <= this.#quarter) return
    this.#quarter = quarter
    this.#stream.write(`${this.#label} ${quarter * 25} %\n`)
  }

  /** Leaves the full bar behind, with `text` after it. */
  end(text: string): void {
    this.update(1, 1)
    this.#stream.write(this.#stream.isTTY ? `  ${text}\n` : `${this.#label} ${text}\n`)
  }

  /** Leaves the bar as it stands, so that what follows begins on a line of its own. */
  break(): void {
    if (this.#stream.isTTY) this.#stream.write('\n')
  }
}
