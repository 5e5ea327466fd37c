import { usageError } from '../command.ts'

const STEPS = [
  [1e9, 'G'],
  [1e6, 'M'],
  [1e3, 'k'],
] as const

/** `1.02 Mb/s`: three digits and a prefix. */
export function rateText(bps: number): string {
  if (bps === 0) return '0 b/s'
  const [scale, prefix] = STEPS.find(([least]) => bps >= least) ?? [1, '']
  return `${Number((bps / scale).toPrecision(3))} ${prefix}b/s`
}

/** `3.39 %`. */
export function percentText(share: number): string {
  return `${(100 * share).toFixed(2)} %`
}

/** `1,048,576`. */
export function countText(count: number): string {
  return Math.round(count).toLocaleString('en-US')
}

/** `14.3 min`: a time in the unit that suits it. */
export function timeText(seconds: number): string {
  if (seconds < 1) return `${Number((seconds * 1e3).toPrecision(3))} ms`
  if (seconds < 120) return `${Number(seconds.toPrecision(3))} s`
  if (seconds < 7200) return `${Number((seconds / 60).toPrecision(3))} min`
  return `${Number((seconds / 3600).toPrecision(3))} h`
}

/** A distance as a person writes it (`50km`, `800 m`), in km. */
export function parseDistanceKm(text: string): number {
  const match = /^(\d+(?:\.\d+)?)\s*(km|m)$/.exec(text.trim())
  if (match === null) throw usageError(`--distance must be a number with km or m, such as 50km, not "${text}"`)
  return Number(match[1]) / (match[2] === 'm' ? 1000 : 1)
}
