import { InvalidArgumentError } from '../errors.ts'
import type { SecurityLevel } from '../interface/kms.ts'

/** A site whose hosts this KMS knows by name. */
export interface RegisteredSite {
  readonly siteId: string
  readonly kmeId: string
  readonly saeIds: readonly string[]
  /** The lowest level that will do for a host whose request names none. Default none is registered. */
  readonly minLevels?: ReadonlyMap<string, SecurityLevel>
  /** Hosts of other domains, to which this site is the way. Default none. */
  readonly foreignSaeIds?: readonly string[]
}

/** Which host (SAE) belongs to which site. */
export class SaeRegistry {
  readonly #sites = new Map<string, RegisteredSite>()
  readonly #foreign = new Set<string>()

  constructor(sites: readonly RegisteredSite[]) {
    for (const site of sites) {
      for (const saeId of site.saeIds) this.#sites.set(saeId, site)
      for (const saeId of site.foreignSaeIds ?? []) {
        this.#sites.set(saeId, site)
        this.#foreign.add(saeId)
      }
    }
  }

  /** True for a host of another domain. */
  isForeign(saeId: string): boolean {
    return this.#foreign.has(saeId)
  }

  /** The site of an SAE, or of the way to it; or undefined. */
  siteOf(saeId: string): RegisteredSite | undefined {
    return this.#sites.get(saeId)
  }

  /** @throws {InvalidArgumentError} no such SAE is known here */
  requireSite(parameter: string, saeId: string): RegisteredSite {
    const site = this.#sites.get(saeId)
    if (site !== undefined) return site
    throw new InvalidArgumentError(`${parameter} ${saeId} is not known to this KME`, {
      details: [{ parameter_name: parameter, parameter_value: saeId }],
    })
  }
}
