/** Rules of one variant of Cascade. */
export interface CascadeVariant {
  /** Passes with blocks of the sizes below, each followed by cascading into the passes before it. */
  readonly passes: number
  /** Size of the blocks of a pass (1 is the first), for an expected error rate and a frame of `sizeBits` bits. */
  blockSize(pass: number, errorRate: number, sizeBits: number): number
  /** BICONF: halves of a fresh shuffle, without cascading, until so many in a row showed no error. 0 for none. */
  readonly confirmations: number
}

const half = (sizeBits: number) => Math.max(Math.floor(sizeBits / 2), 1)
const powerOf2 = (exponent: number) => 2 ** Math.ceil(exponent)

/**
 * The variants that cascade-cpp (Bruno Rijsman) published figures of, with its rules. They follow "Demystifying the
 * information reconciliation protocol Cascade" (arXiv 1407.3257) but for options 7 and 8, whose figures in cascade-cpp are
 * worse than in that paper; what is reproduced here is cascade-cpp. There, `option3` and `option4` are the same.
 */
export const PUBLISHED_VARIANTS = {
  original: {
    passes: 4,
    blockSize: (pass, rate) => Math.ceil(0.73 / rate) * 2 ** (pass - 1),
    confirmations: 0,
  },
  biconf: {
    passes: 2,
    blockSize: (pass, rate) => Math.ceil(0.92 / rate) * 3 ** (pass - 1),
    confirmations: 10,
  },
  yanetal: {
    passes: 10,
    blockSize: (pass, rate, sizeBits) => (pass > 2 ? half(sizeBits) : Math.ceil(0.8 / rate) * 5 ** (pass - 1)),
    confirmations: 0,
  },
  option3: {
    passes: 16,
    blockSize: (pass, rate, sizeBits) => (pass > 2 ? half(sizeBits) : Math.ceil(1 / rate) * 2 ** (pass - 1)),
    confirmations: 0,
  },
  option4: {
    passes: 16,
    blockSize: (pass, rate, sizeBits) => (pass > 2 ? half(sizeBits) : Math.ceil(1 / rate) * 2 ** (pass - 1)),
    confirmations: 0,
  },
  option7: {
    passes: 14,
    blockSize: (pass, rate, sizeBits) => (pass > 2 ? half(sizeBits) : powerOf2(Math.log2(1 / rate)) * 4 ** (pass - 1)),
    confirmations: 0,
  },
  option8: {
    passes: 14,
    blockSize: (pass, rate, sizeBits) => {
      const alpha = Math.log2(1 / rate) - 0.5
      if (pass === 1) return powerOf2(alpha)
      if (pass === 2) return powerOf2((alpha + 12) / 2)
      return pass === 3 ? 4096 : half(sizeBits)
    },
    confirmations: 0,
  },
} as const satisfies Record<string, CascadeVariant>

export type PublishedVariantName = keyof typeof PUBLISHED_VARIANTS
