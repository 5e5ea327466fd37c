import { InvalidArgumentError } from '../../../errors.ts'

/**
 * Privacy amplification as the textbooks have it, kept as the reference beside the fast path: output bit j is the sum of
 * input bit i times seed bit (j - i + n - 1) over all i. Takes n × ℓ / 32 steps.
 * @param words n input bits, 32 to a word, lowest first, all words full
 * @param seed n + ℓ - 1 public random bits, lowest first
 */
export function toeplitzHash(words: Uint32Array, seed: Uint32Array, outputBits: number): Uint32Array {
  const inputBits = words.length * 32
  if (seed.length * 32 < inputBits + outputBits - 1) {
    throw new InvalidArgumentError(`The seed must have ${inputBits + outputBits - 1} bits or more`)
  }
  // With the input turned round, output bit j is the parity of the input and the n seed bits from j on.
  const reversed = Uint32Array.from(words, (_, i) => reverseBits(words[words.length - 1 - i]!))
  const out = new Uint32Array(Math.ceil(outputBits / 32))
  for (let j = 0; j < outputBits; j++) {
    const [word, shift] = [j >>> 5, j & 31]
    let folded = 0
    for (let i = 0; i < reversed.length; i++) {
      const low = seed[word + i]! >>> shift
      const high = shift === 0 ? 0 : (seed[word + i + 1] ?? 0) << (32 - shift)
      folded ^= reversed[i]! & (low | high)
    }
    out[word]! |= parityOf(folded) << shift
  }
  reversed.fill(0)
  return out
}

function reverseBits(word: number): number {
  let bits = ((word >>> 1) & 0x55555555) | ((word & 0x55555555) << 1)
  bits = ((bits >>> 2) & 0x33333333) | ((bits & 0x33333333) << 2)
  bits = ((bits >>> 4) & 0x0f0f0f0f) | ((bits & 0x0f0f0f0f) << 4)
  bits = ((bits >>> 8) & 0x00ff00ff) | ((bits & 0x00ff00ff) << 8)
  return ((bits >>> 16) | (bits << 16)) >>> 0
}

function parityOf(word: number): number {
  let folded = word ^ (word >>> 16)
  folded ^= folded >>> 8
  folded ^= folded >>> 4
  return (0x6996 >>> (folded & 15)) & 1
}
