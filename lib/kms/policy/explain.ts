import type { PolicyFile, PolicyMatch, PolicyTerms } from '../../interface/policy.ts'
import { CELL_BYTES, cellsFor } from '../../key/cells.ts'
import { Policy, type PolicyQuestion } from './policy.ts'
import { burstOf } from './rate-limits.ts'
import { findUnreachableRules } from './unreachable-rules.ts'

/** Why a policy decides as it does. */
export interface PolicyExplanation {
  readonly allowed: boolean
  /** Name of the rule that decides, or `otherwise`. */
  readonly rule: string
  /** Its number in the file, from 1; undefined for `otherwise`. */
  readonly ruleNumber: number | undefined
  readonly terms: PolicyTerms
  /** What the rule makes of the size that was asked about; undefined where none was. */
  readonly size?: {
    readonly sizeBits: number
    readonly allowed: boolean
    readonly burnsBits: number
    readonly why: string
  }
  /** Rules before it that would have decided but for some of their conditions, nearest first to the top of the file. */
  readonly passedOver: readonly {
    readonly rule: string
    readonly ruleNumber: number
    readonly because: readonly (keyof PolicyMatch)[]
  }[]
}

/** Which rule decides, and why those before it do not; with a size, also whether it gives keys of that. */
export function explainPolicy(
  file: PolicyFile,
  question: PolicyQuestion,
  { sizeBits }: { sizeBits?: number | undefined } = {},
): PolicyExplanation {
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
    ...(sizeBits !== undefined && { size: explainSize(sizeBits, { allowed, terms }) }),
    passedOver,
  }
}

function explainSize(
  sizeBits: number,
  { allowed, terms }: Pick<PolicyExplanation, 'allowed' | 'terms'>,
): NonNullable<PolicyExplanation['size']> {
  const { minKeySizeBits: min = 0, maxKeySizeBits: max = Infinity, rate } = terms
  const burnsBits = cellsFor(sizeBits / 8) * CELL_BYTES * 8
  const burst = rate && burstOf(rate)
  const why = !allowed
    ? 'the rule refuses every key'
    : sizeBits < min
      ? `its smallest key has ${min} bits`
      : sizeBits > max
        ? `its largest key has ${max} bits`
        : burst !== undefined && burnsBits > burst
          ? `such a key burns ${burnsBits} bits, and its rate lets ${burst} go at once`
          : undefined
  const within = `it burns ${burnsBits} bits; the limits of the KMS hold besides`
  return { sizeBits, allowed: why === undefined, burnsBits, why: why ?? within }
}

/** Rules that no request can come to, by name and number from 1, with the rules that take their requests. */
export function unreachableRules(file: PolicyFile): { rule: string; ruleNumber: number; takenBy: string[] }[] {
  return findUnreachableRules(new Policy(file)).map(({ ruleNumber, takenBy }) => ({
    rule: file.rules[ruleNumber]!.name,
    ruleNumber: ruleNumber + 1,
    takenBy: takenBy.map(taker => file.rules[taker]!.name),
  }))
}
