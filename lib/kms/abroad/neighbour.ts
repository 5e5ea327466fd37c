import { InvalidArgumentError, PolicyError } from '../../errors.ts'
import type { AbroadKme } from '../../interface/abroad.ts'
import type { SecurityLevel } from '../../interface/kms.ts'
import { lowestLabel, type WayLabel } from '../pool/way-label.ts'

/** Another domain with which this site shares the border. */
export interface NeighbourDomain {
  readonly kme: AbroadKme
  /** SAEs of that domain. */
  readonly saeIds: readonly string[]
  /** What keys to and from it are taken to be worth, as the operators of both have agreed. */
  readonly level: SecurityLevel
}

/** The domains behind this site's border. */
export class Neighbours {
  readonly #bySae = new Map<string, NeighbourDomain>()

  constructor(domains: readonly NeighbourDomain[]) {
    for (const domain of domains) for (const saeId of domain.saeIds) this.#bySae.set(saeId, domain)
  }

  /** The domain of an SAE; undefined for SAEs of our own and of nobody. */
  of(saeId: string): NeighbourDomain | undefined {
    return this.#bySae.get(saeId)
  }

  /**
   * The one domain of all these SAEs.
   * @throws {InvalidArgumentError} they are not of one
   */
  ofAll(saeIds: readonly string[]): NeighbourDomain {
    const [first, ...others] = new Set(saeIds.map(saeId => this.of(saeId)))
    if (first !== undefined && others.length === 0) return first
    throw new InvalidArgumentError(`${saeIds.join(', ')} are not hosts of one other domain`)
  }
}

/** What a key is worth that crosses the border: trusted nodes of two domains have seen it. */
export function abroadLabel({ level }: NeighbourDomain): WayLabel {
  return { level, trustClass: 'relayed' }
}

/**
 * Holds a site to what the way across the border is worth.
 * @throws {PolicyError} the key is called more than that
 */
export function requireAbroadLabel(domain: NeighbourDomain, told: WayLabel): void {
  const real = lowestLabel([told, abroadLabel(domain)])
  if (real.level === told.level && real.trustClass === told.trustClass) return
  throw new PolicyError(
    `A key that crosses to the domain of KME ${domain.kme.kmeId} is worth ${real.level}, ${real.trustClass}: it can't be ${told.level}, ${told.trustClass}`,
  )
}
