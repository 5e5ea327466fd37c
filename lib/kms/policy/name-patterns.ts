import { RuleBits } from './rule-bits.ts'

/**
 * Which rules name what: for one field of a policy, the set of rules that a name satisfies. Sets of names are kept, so that
 * the next request pays one look-up; the cache is bounded, since names may come from outside.
 */
export class NamePatterns {
  readonly #size: number
  /** Rules by the name that they give whole. */
  readonly #exact = new Map<string, number[]>()
  /** Rules by the beginning that they give, without its `*`. */
  readonly #prefixes = new Map<string, RuleBits>()
  readonly #cache = new Map<string, RuleBits>()
  readonly #cacheSize: number

  /** `patterns[rule]` is what the rule gives for this field; undefined is any name. */
  constructor(patterns: readonly (readonly string[] | undefined)[], { cacheSize = 20_000 } = {}) {
    this.#size = patterns.length
    this.#cacheSize = cacheSize
    patterns.forEach((names, rule) => {
      for (const name of names ?? ['*']) this.#add(name, rule)
    })
  }

  /** The rules that `name` satisfies. A pattern as `name` gives the rules that all of its names satisfy. */
  rulesFor(name: string): RuleBits {
    const known = this.#cache.get(name)
    if (known !== undefined) return known
    const bits = this.#find(name)
    if (this.#cache.size >= this.#cacheSize) this.#cache.delete(this.#cache.keys().next().value!)
    this.#cache.set(name, bits)
    return bits
  }

  #find(name: string): RuleBits {
    const bits = RuleBits.none(this.#size)
    for (const [prefix, rules] of this.#prefixes) if (name.startsWith(prefix)) bits.addAll(rules)
    for (const rule of this.#exact.get(name) ?? []) bits.add(rule)
    return bits
  }

  #add(pattern: string, rule: number): void {
    if (!pattern.endsWith('*')) {
      const rules = this.#exact.get(pattern)
      if (rules === undefined) this.#exact.set(pattern, [rule])
      else rules.push(rule)
      return
    }
    const prefix = pattern.slice(0, -1)
    const rules = this.#prefixes.get(prefix) ?? RuleBits.none(this.#size)
    rules.add(rule)
    this.#prefixes.set(prefix, rules)
  }
}
