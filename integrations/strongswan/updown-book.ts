import type { UpdownEvent } from './updown-event.ts'

/** What a call of the hook means for what hangs on the child. */
export interface UpdownMeaning {
  readonly direction: 'up' | 'down'
  /** On `up`: no other IKE_SA had it up. On `down`: no other IKE_SA has it up. */
  readonly edge: boolean
}

/** More than a gateway of ours has up at once; the oldest are forgotten. */
const MAX_PLACES = 16_384

/**
 * Counts, by IKE_SA, who has a child up. When a connection takes a new IKE_SA, charon calls "up" for the new one before it
 * calls "down" for the old one: whoever takes routes away at that "down" takes them from the new one.
 */
export class UpdownBook {
  readonly #rootOf: (uniqueId: string) => string
  readonly #places = new Map<string, Set<string>>()

  /** `rootOf` gives the number that an IKE_SA had when it came up, because it has another after each rekeying. */
  constructor(rootOf: (uniqueId: string) => string) {
    this.#rootOf = rootOf
  }

  /** Notes a child that came up before there was anybody to tell. */
  seed(child: string, uniqueId: string): void {
    this.#holders(child).add(this.#rootOf(uniqueId))
  }

  /** Forgets everything. */
  clear(): void {
    this.#places.clear()
  }

  take({ verb, child, uniqueId, variables }: UpdownEvent): UpdownMeaning {
    const place = placeOf(child, verb, variables)
    const root = this.#rootOf(uniqueId)
    if (verb.startsWith('up')) {
      const holders = this.#holders(place)
      const edge = holders.size === 0 && !this.#seeded(child)
      holders.add(root)
      return { direction: 'up', edge }
    }
    const holders = this.#places.get(place)
    holders?.delete(root)
    const seeded = this.#places.get(child)
    seeded?.delete(root)
    const edge = (holders?.size ?? 0) === 0 && !this.#seeded(child)
    if (holders?.size === 0) this.#places.delete(place)
    return { direction: 'down', edge }
  }

  #seeded(child: string): boolean {
    return (this.#places.get(child)?.size ?? 0) > 0
  }

  #holders(place: string): Set<string> {
    let holders = this.#places.get(place)
    if (holders === undefined) {
      holders = new Set()
      this.#places.set(place, holders)
      if (this.#places.size > MAX_PLACES) this.#places.delete(this.#places.keys().next().value!)
    }
    return holders
  }
}

/** charon calls once for each pair of traffic selectors. */
function placeOf(child: string, verb: string, variables: UpdownEvent['variables']): string {
  const kind = verb.replace(/^(up|down)-?/, '')
  return [child, kind, variables.PLUTO_MY_CLIENT ?? '', variables.PLUTO_PEER_CLIENT ?? ''].join('\n')
}
