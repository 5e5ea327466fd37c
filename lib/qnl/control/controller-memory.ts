import { readFile } from 'node:fs/promises'
import { StoreError } from '../../errors.ts'
import { replaceFile } from '../../util/replace-file.ts'

/** Epochs that are set aside with one write. */
const RESERVE = 1000

/** What a controller must still know after a crash: how far it has counted, and what is under maintenance. */
export interface ControllerMemory {
  /**
   * Sets epochs above `atLeast` aside, durably: nobody ever gets one of them again. Gives the first, and how many.
   * @throws {StoreError} they cannot be set aside: no plan may go out under them
   */
  reserve(atLeast: number): Promise<{ readonly first: number; readonly count: number }>
  /** Links that are out of the plans. */
  drained(): Promise<readonly string[]>
  /** Remembers them, durably. */
  setDrained(linkIds: readonly string[]): Promise<void>
}

interface Remembered {
  readonly lastEpoch: number
  readonly drained: readonly string[]
}

/** The memory of the one controller of a network: a file that is replaced whole. */
export class FileMemory implements ControllerMemory {
  readonly #path: string
  #state: Remembered
  #writing: Promise<unknown> = Promise.resolve()

  private constructor(path: string, state: Remembered) {
    this.#path = path
    this.#state = state
  }

  /** @throws {StoreError} the file is there and cannot be read */
  static async open(path: string): Promise<FileMemory> {
    try {
      const { lastEpoch, drained } = JSON.parse(await readFile(path, 'utf8')) as Remembered
      if (Number.isSafeInteger(lastEpoch) && lastEpoch >= 0 && Array.isArray(drained)) {
        return new FileMemory(path, { lastEpoch, drained })
      }
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return new FileMemory(path, { lastEpoch: 0, drained: [] })
    }
    throw new StoreError(`${path}: not the state of a controller; remove it if this controller starts anew`)
  }

  async reserve(atLeast: number): Promise<{ first: number; count: number }> {
    let first = 0
    await this.#change(state => {
      first = Math.max(state.lastEpoch, atLeast) + 1
      return { ...state, lastEpoch: first + RESERVE - 1 }
    })
    return { first, count: RESERVE }
  }

  async drained(): Promise<readonly string[]> {
    return this.#state.drained
  }

  async setDrained(linkIds: readonly string[]): Promise<void> {
    await this.#change(state => ({ ...state, drained: [...linkIds] }))
  }

  #change(change: (state: Remembered) => Remembered): Promise<void> {
    const done = this.#writing.then(async () => {
      const next = change(this.#state)
      await write(this.#path, next)
      this.#state = next
    })
    this.#writing = done.catch(() => {})
    return done
  }
}

/** For networks that live no longer than this process: tests, examples, simulations. */
export class PassingMemory implements ControllerMemory {
  #lastEpoch = 0
  #drained: readonly string[] = []

  async reserve(atLeast: number): Promise<{ first: number; count: number }> {
    const first = Math.max(this.#lastEpoch, atLeast) + 1
    this.#lastEpoch = first + RESERVE - 1
    return { first, count: RESERVE }
  }

  async drained(): Promise<readonly string[]> {
    return this.#drained
  }

  async setDrained(linkIds: readonly string[]): Promise<void> {
    this.#drained = [...linkIds]
  }
}

async function write(path: string, state: Remembered): Promise<void> {
  try {
    await replaceFile(path, `${JSON.stringify(state)}\n`)
  } catch (error) {
    throw new StoreError(`${path}: the controller's state cannot be written: ${(error as Error).message}`, {
      cause: error,
    })
  }
}
