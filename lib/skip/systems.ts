import { createGlob, isPattern } from './glob.ts'

/** Which SAE a system ID of the protocol stands for. */
export interface SkipSystem {
  /** Name as encryptors tell it each other; for an SAE of another site also a pattern such as `dc2-*`. */
  readonly systemId: string
  readonly saeId: string
}

/** What `SkipSystems` is made from. */
export interface SkipSystemsOptions {
  readonly systems: readonly SkipSystem[]
  /** SAEs of other sites. One without a system of its own is known by its SAE ID. */
  readonly remoteSaeIds: readonly string[]
}

/**
 * SKIP names key providers, ETSI 014 the hosts behind them. Here each host is a system: an encryptor hears its own name as
 * `localSystemID`, tells it its peer in IKE, and the peer asks for the key with it. So a key is bound to the same two hosts
 * whichever way it's fetched.
 */
export class SkipSystems {
  readonly #ownNames = new Map<string, string>()
  readonly #byName = new Map<string, string>()
  readonly #patterns: { readonly matches: (name: string) => boolean; readonly saeId: string }[] = []
  /** What `/capabilities` lists: names and patterns of systems at other sites. */
  readonly remoteIds: readonly string[]

  constructor({ systems, remoteSaeIds }: SkipSystemsOptions) {
    const remote = new Set(remoteSaeIds)
    const named = new Set(systems.map(({ saeId }) => saeId))
    const remoteIds: string[] = []
    for (const { systemId, saeId } of systems) {
      if (!remote.has(saeId)) {
        if (!this.#ownNames.has(saeId)) this.#ownNames.set(saeId, systemId)
        continue
      }
      remoteIds.push(systemId)
      if (isPattern(systemId)) this.#patterns.push({ matches: createGlob(systemId), saeId })
      else this.#byName.set(systemId, saeId)
    }
    for (const saeId of remoteSaeIds) {
      if (named.has(saeId)) continue
      remoteIds.push(saeId)
      this.#byName.set(saeId, saeId)
    }
    this.remoteIds = remoteIds
  }

  /** The name under which peers know a host of this site. */
  localIdOf(saeId: string): string {
    return this.#ownNames.get(saeId) ?? saeId
  }

  /** The SAE of another site that a system ID stands for: an exact name first, then patterns as they are listed. */
  saeOf(systemId: string): string | undefined {
    return this.#byName.get(systemId) ?? this.#patterns.find(({ matches }) => matches(systemId))?.saeId
  }
}
