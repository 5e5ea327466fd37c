import type { Demand } from '../../interface/qnl.ts'

interface Standing {
  readonly demand: Demand
  readonly expiry: NodeJS.Timeout | undefined
}

/** What the KMS of this site asks for, per far site. */
export class NodeDemands {
  readonly #standing = new Map<string, Standing>()
  readonly #onExpiry: (remoteSiteId: string) => void

  /** `onExpiry` is called when a demand has come to its deadline and is withdrawn. */
  constructor(onExpiry: (remoteSiteId: string) => void) {
    this.#onExpiry = onExpiry
  }

  /** Records a checked demand in place of the last one; a rate of 0 only withdraws that. */
  set(remoteSiteId: string, demand: Demand): void {
    this.#withdraw(remoteSiteId)
    if (demand.rateBps === 0) return
    const { kind, deadlineMs } = demand
    const expire = () => {
      this.#withdraw(remoteSiteId)
      this.#onExpiry(remoteSiteId)
    }
    const expiry = kind === 'on-demand' && deadlineMs !== undefined ? setTimeout(expire, deadlineMs).unref() : undefined
    this.#standing.set(remoteSiteId, { demand, expiry })
  }

  get(remoteSiteId: string): Demand | undefined {
    return this.#standing.get(remoteSiteId)?.demand
  }

  /** Every demand that stands, sorted by site. */
  list(): { readonly remoteSiteId: string; readonly demand: Demand }[] {
    return [...this.#standing]
      .map(([remoteSiteId, { demand }]) => ({ remoteSiteId, demand }))
      .sort((a, b) => (a.remoteSiteId < b.remoteSiteId ? -1 : 1))
  }

  clear(): void {
    for (const remoteSiteId of [...this.#standing.keys()]) this.#withdraw(remoteSiteId)
  }

  #withdraw(remoteSiteId: string): void {
    clearTimeout(this.#standing.get(remoteSiteId)?.expiry)
    this.#standing.delete(remoteSiteId)
  }
}
