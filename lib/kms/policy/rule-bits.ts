/** Numbers of rules, as bits: the first that stands in several sets is found without looking at a rule. */
export class RuleBits {
  readonly words: Uint32Array

  constructor(words: Uint32Array) {
    this.words = words
  }

  /** The set of no rule, of `size` rules. */
  static none(size: number): RuleBits {
    return new RuleBits(new Uint32Array((size + 31) >>> 5))
  }

  /** The set of all of them. */
  static all(size: number): RuleBits {
    const bits = RuleBits.none(size)
    for (let rule = 0; rule < size; rule += 1) bits.add(rule)
    return bits
  }

  add(rule: number): void {
    this.words[rule >>> 5]! |= 1 << (rule & 31)
  }

  has(rule: number): boolean {
    return (this.words[rule >>> 5]! & (1 << (rule & 31))) !== 0
  }

  addAll(other: RuleBits): void {
    for (let at = 0; at < this.words.length; at += 1) this.words[at]! |= other.words[at]!
  }

  /** The first rule at or after `from` that stands in all four sets, or -1. */
  static firstCommon(from: number, a: RuleBits, b: RuleBits, c: RuleBits, d: RuleBits): number {
    const [wa, wb, wc, wd] = [a.words, b.words, c.words, d.words]
    // Bits below `from` are cut off in the first word alone.
    let mask = -1 << (from & 31)
    for (let at = from >>> 5; at < wa.length; at += 1) {
      const common = wa[at]! & wb[at]! & wc[at]! & wd[at]! & mask
      if (common !== 0) return (at << 5) + 31 - Math.clz32(common & -common)
      mask = -1
    }
    return -1
  }
}
