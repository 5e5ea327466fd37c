/** Shannon entropy of a bit that is 1 with probability `p`, in bits; 0 at and beyond both ends. */
export function binaryEntropy(p: number): number {
  if (p <= 0 || p >= 1) return 0
  return -p * Math.log2(p) - (1 - p) * Math.log2(1 - p)
}
