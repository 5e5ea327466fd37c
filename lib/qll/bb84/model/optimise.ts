import type { ProtocolParameters } from './expected-block.ts'

/**
 * The choices of intensities and bases that make `rate` largest, by a compass search from `start`: each parameter is
 * stepped up and down in turn, and the steps halve when none helps. The weakest intensity is kept. A rate of 0 or less
 * counts as no key; let `rate` go below 0 there, so that the search finds its way back.
 */
export function optimiseProtocol(
  rate: (protocol: ProtocolParameters) => number,
  start: ProtocolParameters,
): { readonly protocol: ProtocolParameters; readonly rate: number } {
  const weakest = start.intensities[2]
  let point = toPoint(start)
  let best = rate(start)
  for (let step = 0.25; step > 1e-4; step /= 2) {
    for (let moved = true; moved; ) {
      moved = false
      for (const axis of point.keys()) {
        for (const factor of [1 + step, 1 / (1 + step)]) {
          const next = point.with(axis, point[axis]! * factor)
          const protocol = toProtocol(next, weakest)
          const value = protocol === undefined ? -Infinity : rate(protocol)
          if (value <= best) continue
          ;[point, best, moved] = [next, value, true]
        }
      }
    }
  }
  return { protocol: toProtocol(point, weakest)!, rate: best }
}

/** Odds and sizes rather than probabilities, so that every positive point is a protocol, or nearly. */
function toPoint({ intensities, probabilities, keyBasisProbability }: ProtocolParameters): number[] {
  return [
    intensities[0],
    intensities[1],
    probabilities[0] / probabilities[2],
    probabilities[1] / probabilities[2],
    keyBasisProbability / (1 - keyBasisProbability),
  ]
}

function toProtocol(point: readonly number[], weakest: number): ProtocolParameters | undefined {
  const [signal, decoy, signalOdds, decoyOdds, basisOdds] = point as [number, number, number, number, number]
  if (!(signal > decoy + weakest && decoy > weakest)) return undefined
  const total = signalOdds + decoyOdds + 1
  return {
    intensities: [signal, decoy, weakest],
    probabilities: [signalOdds / total, decoyOdds / total, 1 / total],
    keyBasisProbability: basisOdds / (1 + basisOdds),
  }
}
