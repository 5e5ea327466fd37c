import { StoreError } from '../../lib/errors.ts'
import type { Change, CommitResult, PoolStore, SlotStore } from '../../lib/interface/pool-store.ts'

/** Counts the durable steps of a site, over its store and its slots together, and ends its disk at one of them. */
export class FaultPlan {
  #left = Number.POSITIVE_INFINITY
  #isAfter = false
  /** True once it has ended. */
  isDead = false

  /** From the `step`th step on (0 is the next) nothing is written any more; with `after` that one still is, but nobody hears of it. */
  failAt(step: number, { after = false }: { after?: boolean } = {}): void {
    this.#left = step
    this.#isAfter = after
    this.isDead = false
  }

  /** The disk works again: what a new process finds. */
  mend(): void {
    this.#left = Number.POSITIVE_INFINITY
    this.isDead = false
  }

  async run<T>(write: () => Promise<T>): Promise<T> {
    if (this.#left > 0) {
      this.#left--
      return write()
    }
    this.isDead = true
    if (this.#isAfter && this.#left === 0) {
      this.#left = -1
      await write()
    }
    throw new StoreError('The disk is gone')
  }
}

/** A store and slots whose every durable step goes by the plan. Reading always works. */
export function withFaults(
  { store, slots }: { store: PoolStore; slots: SlotStore },
  plan: FaultPlan,
): { store: PoolStore; slots: SlotStore } {
  const commit = (poolId: string, changes: readonly Change[]): Promise<CommitResult> =>
    plan.run(() => store.commit(poolId, changes))
  return {
    store: bound(store, { commit }),
    slots: bound(slots, {
      put: (secret, context) => plan.run(() => slots.put(secret, context)),
      erase: (slot, context) => plan.run(() => slots.erase(slot, context)),
      eraseAllBut: live => plan.run(() => slots.eraseAllBut(live)),
    }),
  }
}

function bound<T extends object>(target: T, replaced: Partial<T>): T {
  return new Proxy(target, {
    get: (_, property) => {
      const value = Reflect.get(property in replaced ? replaced : target, property)
      return typeof value === 'function' && !(property in replaced) ? value.bind(target) : value
    },
  })
}
