import type { PolicyFile } from '../../interface/policy.ts'
import { expandGroups, type Policy } from './policy.ts'

/** A rule that no request can come to. */
export interface UnreachableRule {
  readonly ruleNumber: number
  /** Rules before it that take all of its requests, in order. */
  readonly takenBy: readonly number[]
}

/** Combinations of names looked at for one rule. A rule with more counts as reachable. */
const MAX_COMBINATIONS = 4_096

/** Rules of which every request is taken by rules before them that hold at all times. */
export function findUnreachableRules(policy: Policy): UnreachableRule[] {
  return policy.file.rules.flatMap((_, ruleNumber) => {
    const takenBy = takersOf(policy, ruleNumber)
    return takenBy === undefined ? [] : [{ ruleNumber, takenBy: [...takenBy].sort((a, b) => a - b) }]
  })
}

function takersOf(policy: Policy, ruleNumber: number): ReadonlySet<number> | undefined {
  const [masters, slaves, sites, integrations] = namesOf(policy.file, ruleNumber)
  if (masters.length * slaves.length * sites.length * integrations.length > MAX_COMBINATIONS) return undefined
  const takers = new Set<number>()
  for (const masterSaeId of masters)
    for (const slaveSaeId of slaves)
      for (const peerSiteId of sites)
        for (const integration of integrations) {
          const taker = firstTaker(policy, ruleNumber, { masterSaeId, slaveSaeId, peerSiteId, integration })
          if (taker === undefined) return undefined
          takers.add(taker)
        }
  return takers
}

function firstTaker(
  policy: Policy,
  ruleNumber: number,
  names: Parameters<Policy['candidates']>[0],
): number | undefined {
  for (const candidate of policy.candidates(names)) {
    if (candidate.ruleNumber >= ruleNumber) return undefined
    if (candidate.always) return candidate.ruleNumber
  }
  return undefined
}

/** The names of each field of a rule; a field that is left out stands for any name. */
function namesOf(file: PolicyFile, ruleNumber: number): [string[], string[], string[], string[]] {
  const { master, slave, peerSite, integration } = file.rules[ruleNumber]!.match ?? {}
  const names = (given: readonly string[] | undefined) => [...(given ?? ['*'])]
  return [names(expandGroups(file, master)), names(expandGroups(file, slave)), names(peerSite), names(integration)]
}
