import type { UpdownEvent } from '../updown-event.ts'

/** What a call of the hook means for the traffic: it came up, went over to another IKE_SA, or went down. */
export type TrafficChange = 'up' | 'moved' | 'down'

/**
 * Counts which IKE_SAs carry what. A rotation brings the new one up before the old one goes down, and charon calls the
 * hook for both: only the first up and the last down change anything for whoever opens a firewall by them.
 */
export class TrafficCount {
  /** By traffic: the IKE_SAs that carry it, and the child, in the order they came. */
  readonly #carriers = new Map<string, Map<string, UpdownEvent>>()

  /** What `event` changes; undefined for nothing, such as the late down of an IKE_SA that another has taken over from. */
  take(event: UpdownEvent): TrafficChange | undefined {
    const { verb, uniqueId } = event
    const traffic = trafficOf(event)
    const carriers = this.#carriers.get(traffic)
    if (verb.startsWith('up')) {
      if (carriers === undefined) {
        this.#carriers.set(traffic, new Map([[uniqueId, event]]))
        return 'up'
      }
      if (carriers.has(uniqueId)) return undefined
      carriers.set(uniqueId, event)
      return 'moved'
    }
    return this.#remove(traffic, uniqueId)?.change
  }

  /** Forgets every IKE_SA that is not among `uniqueIds`, and tells what went down with them, as events. */
  keepOnly(uniqueIds: ReadonlySet<string>): UpdownEvent[] {
    const down: UpdownEvent[] = []
    for (const [traffic, carriers] of [...this.#carriers]) {
      for (const uniqueId of [...carriers.keys()]) {
        if (uniqueIds.has(uniqueId)) continue
        const removed = this.#remove(traffic, uniqueId)
        if (removed?.change === 'down') down.push({ ...removed.event, verb: removed.event.verb.replace(/^up/, 'down') })
      }
    }
    return down
  }

  /** The unique ids of the IKE_SAs that carry what `event` is about, the newest last. */
  carriersOf(event: UpdownEvent): string[] {
    return [...(this.#carriers.get(trafficOf(event))?.keys() ?? [])]
  }

  #remove(traffic: string, uniqueId: string): { change: 'down' | undefined; event: UpdownEvent } | undefined {
    const carriers = this.#carriers.get(traffic)
    const event = carriers?.get(uniqueId)
    if (carriers === undefined || event === undefined) return undefined
    carriers.delete(uniqueId)
    if (carriers.size > 0) return { change: undefined, event }
    this.#carriers.delete(traffic)
    return { change: 'down', event }
  }
}

/** What is carried: the same for every SA that carries it. In JSON, so that no value can look like two. */
function trafficOf({ variables }: UpdownEvent): string {
  const parts = ['CONNECTION', 'MY_CLIENT', 'MY_PORT', 'MY_PROTOCOL', 'PEER_CLIENT', 'PEER_PORT', 'PEER_PROTOCOL']
  return JSON.stringify(parts.map(name => variables[`PLUTO_${name}`] ?? ''))
}
