import type { PolicyFile, PolicyMatch, PolicyRate, PolicyRule, PolicyTerms } from '../../interface/policy.ts'
import { NamePatterns } from './name-patterns.ts'
import { RuleBits } from './rule-bits.ts'
import { WeekWindow } from './week-window.ts'

/** What a policy is asked about: who, with whom, where and what for. */
export interface PolicyQuestion {
  readonly masterSaeId: string
  readonly slaveSaeId: string
  readonly peerSiteId: string
  /** What the host says that the key is for; undefined matches rules that name no integration. */
  readonly integration?: string | undefined
  /** Milliseconds of Unix time. */
  readonly atMs: number
}

/** What a policy answers. */
export interface PolicyVerdict {
  readonly allowed: boolean
  /** Number of the rule that decided, from 0; undefined where none matched. */
  readonly ruleNumber: number | undefined
  /** Its name, or `otherwise`. */
  readonly ruleName: string
  /** The rule's terms over the policy's defaults. */
  readonly terms: PolicyTerms
}

/** Stands for a host that says no integration; no rule can name it. */
const UNNAMED = ''

/**
 * A policy that decides: the first rule whose conditions all hold. The rules are indexed by field, so a decision costs the
 * same with ten rules and with ten thousand.
 */
export class Policy {
  readonly file: PolicyFile
  readonly #verdicts: readonly PolicyVerdict[]
  readonly #otherwise: PolicyVerdict
  readonly #windows: readonly (WeekWindow | undefined)[]
  readonly #masters: NamePatterns
  readonly #slaves: NamePatterns
  readonly #sites: NamePatterns
  readonly #integrations: NamePatterns
  readonly #everyRule: RuleBits
  readonly #ratedGroups: readonly { readonly name: string; readonly rate: PolicyRate }[]
  readonly #groupMembers: NamePatterns

  /** `file` must have passed its checks. */
  constructor(file: PolicyFile) {
    this.file = file
    const { rules, defaults = {} } = file
    const field = (get: (match: PolicyMatch) => readonly string[] | undefined) =>
      new NamePatterns(rules.map(({ match }) => (match === undefined ? undefined : get(match))))
    this.#masters = field(({ master }) => expandGroups(file, master))
    this.#slaves = field(({ slave }) => expandGroups(file, slave))
    this.#sites = field(({ peerSite }) => peerSite)
    this.#integrations = field(({ integration }) => integration)
    this.#everyRule = RuleBits.all(rules.length)
    this.#windows = rules.map(({ match }) => {
      const window = match?.time && new WeekWindow(match.time)
      return window?.isAlways ? undefined : window
    })
    this.#verdicts = rules.map((rule, ruleNumber) => ({
      allowed: rule.deny !== true,
      ruleNumber,
      ruleName: rule.name,
      terms: { ...defaults, ...termsOf(rule) },
    }))
    const rated = Object.entries(file.groups ?? {}).filter(([, { rate }]) => rate !== undefined)
    this.#ratedGroups = rated.map(([name, { rate }]) => ({ name: `group "${name}"`, rate: rate! }))
    this.#groupMembers = new NamePatterns(rated.map(([, { saes }]) => saes))
    this.#otherwise = {
      allowed: file.otherwise === 'allow',
      ruleNumber: undefined,
      ruleName: 'otherwise',
      terms: defaults,
    }
  }

  /** Which rule decides, and what it grants. */
  decide(question: PolicyQuestion): PolicyVerdict {
    const sets = this.#setsFor(question)
    for (let from = 0; ; ) {
      const rule = RuleBits.firstCommon(from, ...sets)
      if (rule === -1) return this.#otherwise
      if (this.#windows[rule]?.includes(question.atMs) !== false) return this.#verdicts[rule]!
      from = rule + 1
    }
  }

  /**
   * What may decide where nobody says what the key is for, as who fetches one does not: each rule that names an integration,
   * down to the first verdict that holds for any.
   */
  *mayDecide(question: Omit<PolicyQuestion, 'integration'>): Generator<PolicyVerdict> {
    const [masters, slaves, sites, unnamed] = this.#setsFor(question)
    for (let from = 0; ; ) {
      const rule = RuleBits.firstCommon(from, masters, slaves, sites, this.#everyRule)
      if (rule === -1) break
      from = rule + 1
      if (this.#windows[rule]?.includes(question.atMs) === false) continue
      yield this.#verdicts[rule]!
      if (unnamed.has(rule)) return
    }
    yield this.#otherwise
  }

  /**
   * Rules that a question with these four names would come to, in order, whatever the time. Each may be a pattern: then the
   * rules that match all it stands for.
   */
  *candidates(names: Omit<PolicyQuestion, 'atMs'>): Generator<{ ruleNumber: number; always: boolean }> {
    const sets = this.#setsFor(names)
    for (let from = 0; ; ) {
      const ruleNumber = RuleBits.firstCommon(from, ...sets)
      if (ruleNumber === -1) return
      yield { ruleNumber, always: this.#windows[ruleNumber] === undefined }
      from = ruleNumber + 1
    }
  }

  /** The limits of the groups that a master belongs to. */
  groupRatesOf(saeId: string): readonly { readonly name: string; readonly rate: PolicyRate }[] {
    if (this.#ratedGroups.length === 0) return []
    const bits = this.#groupMembers.rulesFor(saeId)
    return this.#ratedGroups.filter((_, at) => bits.has(at))
  }

  /** Which conditions of a rule do not hold for `question`; empty where it matches. */
  missedConditions(ruleNumber: number, question: PolicyQuestion): (keyof PolicyMatch)[] {
    const [master, slave, peerSite, integration] = this.#setsFor(question)
    const holds = (bits: RuleBits) => bits.has(ruleNumber)
    const byField = { master, slave, peerSite, integration }
    const missed = (Object.keys(byField) as (keyof typeof byField)[]).filter(name => !holds(byField[name]))
    const inTime = this.#windows[ruleNumber]?.includes(question.atMs) !== false
    return inTime ? missed : [...missed, 'time']
  }

  #setsFor(names: Omit<PolicyQuestion, 'atMs'>): [RuleBits, RuleBits, RuleBits, RuleBits] {
    return [
      this.#masters.rulesFor(names.masterSaeId),
      this.#slaves.rulesFor(names.slaveSaeId),
      this.#sites.rulesFor(names.peerSiteId),
      this.#integrations.rulesFor(names.integration ?? UNNAMED),
    ]
  }
}

/** SAE names with each group replaced by its members. */
export function expandGroups(
  { groups = {} }: Pick<PolicyFile, 'groups'>,
  names: readonly string[] | undefined,
): readonly string[] | undefined {
  return names?.flatMap(name => (name.startsWith('@') ? (groups[name.slice(1)]?.saes ?? []) : [name]))
}

function termsOf({ name: _name, match: _match, deny: _deny, ...terms }: PolicyRule): PolicyTerms {
  return terms
}
