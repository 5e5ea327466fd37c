/** Where values of one quantity lie along one side of a chart, and which of them are named. */
export interface Axis {
  readonly ticks: readonly { readonly value: number; readonly text: string }[]
  /** Place of a value, in the chart's own units; undefined for one that the axis cannot show. */
  at(value: number): number | undefined
}

/** Ends of an axis in the chart's own units: where its lowest value lies, and its highest. */
export interface AxisEnds {
  readonly from: number
  readonly to: number
}

/** Equal steps from 0 to at least `highest`, in round numbers. */
export function linearAxis(highest: number, { from, to }: AxisEnds, text: (value: number) => string): Axis {
  const step = roundStep(highest / 5)
  const count = Math.max(Math.ceil(highest / step - 1e-9), 1)
  const end = step * count
  return {
    ticks: Array.from({ length: count + 1 }, (_, at) => ({ value: step * at, text: text(step * at) })),
    at: value => (value < 0 || value > end * 1.0001 ? undefined : from + ((to - from) * value) / end),
  }
}

/** Equal factors: whole powers of ten around `lowest` and `highest`, both above 0. */
export function decadeAxis(
  { lowest, highest }: { lowest: number; highest: number },
  { from, to }: AxisEnds,
  text: (value: number) => string,
): Axis {
  const low = Math.floor(Math.log10(lowest))
  const high = Math.max(Math.ceil(Math.log10(highest)), low + 1)
  const every = Math.ceil((high - low) / 8)
  const ticks = []
  for (let power = low; power <= high; power += every) ticks.push({ value: 10 ** power, text: text(10 ** power) })
  return {
    ticks,
    at: value => {
      const place = (Math.log10(value) - low) / (high - low)
      return value > 0 && place >= 0 && place <= 1 ? from + (to - from) * place : undefined
    },
  }
}

/** 1, 2 or 5 times a power of ten, at least `least`. */
function roundStep(least: number): number {
  const power = 10 ** Math.floor(Math.log10(Math.max(least, 1e-12)))
  return [1, 2, 5, 10].map(factor => factor * power).find(step => step >= least * 0.999) ?? 10 * power
}
