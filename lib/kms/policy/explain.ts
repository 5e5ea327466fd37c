import type { PolicyFile, PolicyMatch, PolicyTerms } from '../../interface/policy.ts'
import { Policy, type PolicyQuestion } from './policy.ts'
import { findUnreachableRules } from './unreachable-rules.ts'

/** Why a policy decides as it does. */
export interface PolicyExplanation {
  readonly allowed: boolean
  /** Name of the rule that decides, or `otherwise`. */
  readonly rule: string
  /** Its number in the file, from 1; undefined for `otherwise`. */
  readonly ruleNumber: number | undefined
  readonly terms: PolicyTerms
  /** Rules before it that would have decided but for some of their conditions, nearest first to the top of the file. */
  readonly passedOver: readonly {
    readonly rule: string
    readonly ruleNumber: number
    readonly because: readonly (keyof PolicyMatch)[]
  }[]
}

/** Which rule decides, and why those before it do not. */
export function explainPolicy(file: PolicyFile, question: PolicyQuestion): PolicyExplanation {
  const policy = new Policy(file)
  const { allowed, ruleNumber, ruleName, terms } = policy.decide(question)
  const passedOver = file.rules.slice(0, ruleNumber ?? file.rules.length).map((rule, at) => ({
    rule: rule.name,
    ruleNumber: at + 1,
    because: policy.missedConditions(at, question),
  }))
  return {
    allowed,
    rule: ruleName,
    ruleNumber: ruleNumber === undefined ? undefined : ruleNumber + 1,
    terms,
    passedOver,
  }
}

/** Rules that no request can come to, by name and number from 1, with the rules that take their requests. */
export function unreachableRules(file: PolicyFile): { rule: string; ruleNumber: number; takenBy: string[] }[] {
  return findUnreachableRules(new Policy(file)).map(({ ruleNumber, takenBy }) => ({
    rule: file.rules[ruleNumber]!.name,
    ruleNumber: ruleNumber + 1,
    takenBy: takenBy.map(taker => file.rules[taker]!.name),
  }))
}
