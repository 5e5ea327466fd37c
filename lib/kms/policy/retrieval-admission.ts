import { PolicyError } from '../../errors.ts'
import type { SecurityLevel, TrustClass } from '../../interface/kms.ts'
import type { RetrievalTerms } from '../pool/retriever.ts'
import type { PolicyVerdict } from './policy.ts'
import { SHIPPED_LEVELS } from './shipped-levels.ts'

/**
 * What the policy of the fetching site holds for the keys of one pair. Nobody says at a fetch what a key is for, so each rule for
 * some integration may be the one that it was issued for: a key is taken where one of them takes its level and class.
 */
export class RetrievalAdmission implements RetrievalTerms {
  /** The shortest of all that may hold. */
  readonly lifetimeMs: number | undefined
  readonly #verdicts: readonly PolicyVerdict[]
  #decider: PolicyVerdict

  /** `verdicts` that allow keys, in the policy's order: one at least. */
  constructor(verdicts: readonly PolicyVerdict[]) {
    this.#verdicts = verdicts
    this.#decider = verdicts.at(-1)!
    const lifetimes = verdicts.flatMap(({ terms }) => terms.lifetimeMs ?? [])
    this.lifetimeMs = lifetimes.length === 0 ? undefined : Math.min(...lifetimes)
  }

  /** The rule by which the last key was taken. */
  get ruleName(): string {
    return this.#decider.ruleName
  }

  /** @throws {PolicyError} no rule takes keys of this level and class */
  check(level: SecurityLevel, trustClass: TrustClass): void {
    const ofLevel = this.#verdicts.filter(({ terms }) => (terms.levels ?? SHIPPED_LEVELS).includes(level))
    if (ofLevel.length === 0) throw new PolicyError(`Rule "${this.ruleName}" takes no keys of level ${level}`)
    const decider = ofLevel.find(({ terms }) => terms.trustClasses?.includes(trustClass) !== false)
    if (decider === undefined)
      throw new PolicyError(`Rule "${ofLevel.at(-1)!.ruleName}" takes no keys of class ${trustClass}`)
    this.#decider = decider
  }
}
