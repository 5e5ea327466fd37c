import { setTimeout as sleep } from 'node:timers/promises'
import { QkdError } from '../../lib/errors.ts'
import type { Kms, SecurityLevel } from '../../lib/interface/kms.ts'

/** What one host asks for, again and again. */
export interface HostWish {
  readonly from: string
  readonly to: string
  readonly number?: number
  readonly level?: SecurityLevel
}

/** Hosts that ask for keys and fetch them, with a count of their own of what came of it. */
export class HostLoad {
  readonly #host: (saeId: string) => Kms
  readonly #ending = new AbortController()
  #running: Promise<void>[] = []
  /** Keys by `<direction of the host> <master> <slave> <level> <path>`. */
  readonly keys = new Map<string, number>()
  /** Refusals by code, of the hosts that begin. */
  readonly refusals = new Map<string, number>()

  constructor(host: (saeId: string) => Kms) {
    this.#host = host
  }

  begin(wishes: readonly HostWish[]): void {
    this.#running = wishes.map(wish => this.#repeat(wish))
  }

  /** Lets the requests under way end. */
  async end(): Promise<void> {
    this.#ending.abort()
    await Promise.all(this.#running)
  }

  async #repeat(wish: HostWish): Promise<void> {
    const { signal } = this.#ending
    while (!signal.aborted) {
      await this.once(wish)
      await sleep(150, undefined, { signal }).catch(() => {})
    }
  }

  /** One request, and the fetch of what it gave. */
  async once({ from, to, number = 1, level }: HostWish): Promise<void> {
    try {
      const keys = await this.#host(from).getKey(to, { number, ...(level && { level }) })
      for (const key of keys) this.#count(`out ${from} ${to} ${key.level} ${key.trustClass}`)
      for (const { keyId } of keys) {
        const [same] = await this.#host(to).getKeyWithIds(from, [keyId])
        this.#count(`in ${from} ${to} ${same!.level} ${same!.trustClass}`)
      }
    } catch (error) {
      if (!(error instanceof QkdError)) throw error
      this.refusals.set(error.code, (this.refusals.get(error.code) ?? 0) + 1)
    }
  }

  #count(name: string): void {
    this.keys.set(name, (this.keys.get(name) ?? 0) + 1)
  }
}
