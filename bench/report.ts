import { readFileSync } from 'node:fs'

/** One figure of one suite. Ratios are of two things measured side by side in the same run: they are what to compare. */
export interface Measurement {
  readonly metric: string
  readonly value: number
  /** Unit of `value` and `baseline`, such as `1/s`, `ms` or `us`. */
  readonly unit: string
  /** The same measured on what it is held against. */
  readonly baseline?: number
  /** `value` over `baseline`, or the median of the ratios of paired slices. */
  readonly ratio?: number
  /** How many slices or calls the figure comes from. */
  readonly samples?: number
}

/** Takes each figure as soon as it is there. */
export type Report = (measurement: Measurement) => void

export interface BenchOptions {
  /** Fewer and shorter slices: shows that the suite works, not what it measures. */
  readonly quick: boolean
}

/** What a module of this folder exports. */
export interface BenchSuite {
  run(report: Report, options: BenchOptions): Promise<void>
}

/** The value that `fraction` (0 to 1) of `values` do not exceed, by the nearest rank; NaN for none. */
export function percentile(values: readonly number[], fraction: number): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.max(0, Math.ceil(fraction * sorted.length) - 1)] ?? Number.NaN
}

/** The middle value, or the mean of the two middle ones; NaN for none. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length / 2
  if (!Number.isInteger(middle)) return sorted[Math.floor(middle)]!
  return sorted.length === 0 ? Number.NaN : (sorted[middle - 1]! + sorted[middle]!) / 2
}

/** The value that 95 of 100 do not exceed. */
export const p95 = (values: readonly number[]): number => percentile(values, 0.95)

/** Two things measured in turn, so that a machine whose speed drifts treats both alike. */
export interface Interleaved {
  readonly a: readonly number[]
  readonly b: readonly number[]
  /** Median of a/b over the pairs. */
  readonly ratio: number
}

/** Runs `slices` pairs of slices A, B, A, B; every second pair begins with B. Each slice gives one number. */
export async function interleave(
  slices: number,
  runs: { a(): Promise<number>; b(): Promise<number> },
): Promise<Interleaved> {
  const a: number[] = []
  const b: number[] = []
  for (let slice = 0; slice < slices; slice += 1) {
    if (slice % 2 === 1) b.push(await runs.b())
    a.push(await runs.a())
    if (slice % 2 === 0) b.push(await runs.b())
  }
  return { a, b, ratio: median(a.map((value, at) => value / b[at]!)) }
}

/** How long `work` takes, in milliseconds. */
export async function elapsedMs(work: () => Promise<unknown>): Promise<number> {
  const start = performance.now()
  await work()
  return performance.now() - start
}

/** What `count` calls a second of `work` come to, with `concurrency` of them under way. */
export async function callsPerSecond(
  count: number,
  concurrency: number,
  work: (call: number) => Promise<unknown>,
): Promise<number> {
  let next = 0
  const worker = async () => {
    while (next < count) {
      const call = next
      next += 1
      await work(call)
    }
  }
  const ms = await elapsedMs(() => Promise.all(Array.from({ length: concurrency }, worker)))
  return (count / ms) * 1000
}

/** Kernel ticks a second in /proc, fixed at 100 on Linux. */
const TICKS_PER_SECOND = 100

/**
 * Processor time that the process `pid` has used, in milliseconds, in steps of 10; all its threads, ended ones too. Only
 * Linux says; undefined elsewhere and for a process that is gone.
 */
export function cpuTimeMs(pid: number): number | undefined {
  let stat: string
  try {
    stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  } catch {
    return undefined
  }
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return ((Number(fields[11]) + Number(fields[12])) * 1000) / TICKS_PER_SECOND
}
