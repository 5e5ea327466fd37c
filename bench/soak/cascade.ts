/**
 * Cascade against the figures published with cascade-cpp, over every point of the table: efficiency within 1 %, messages
 * within 20 %, frame errors by Fisher's exact test with Holm's correction at 5 %. `--count` frames a point (default 2,000;
 * the comparison of frame errors means something from 10,000 on). Then the default variant against its own promise.
 */

import { SeededRandom } from '../../lib/qll/bb84/random.ts'
import {
  type CascadeTrial,
  type PublishedPoint,
  publishedPoints,
  tryCascade,
} from '../../test/helpers/cascade-trial.ts'
import { fisherExact, holm } from '../../test/helpers/fisher-exact.ts'
import type { SoakOptions } from '../soak.ts'

export async function run({ count = 2000, log }: SoakOptions): Promise<void> {
  const random = SeededRandom.of(Date.now())
  const points = publishedPoints()
  const trials = points.map(point => {
    const trial = tryCascade(point, { frames: count, random })
    log(describe(point, trial, count))
    return trial
  })
  const misses = points.flatMap((point, at) => missesOf(point, trials[at]!))
  const pValues = points.map((point, at) =>
    fisherExact(trials[at]!.frameErrors, count, Math.round(point.frameErrorRate * point.runs), point.runs),
  )
  for (const [at, differs] of holm(pValues, 0.05).entries()) {
    if (differs) misses.push(`${nameOf(points[at]!)}: frame errors differ (p = ${pValues[at]!.toExponential(1)})`)
  }
  misses.push(...defaultMisses(count, random, log))
  if (misses.length > 0) throw new Error(`${misses.length} figures miss:\n${misses.join('\n')}`)
}

function missesOf(point: PublishedPoint, trial: CascadeTrial): string[] {
  const off = (ours: number, theirs: number) => ours / theirs - 1
  const misses: string[] = []
  const efficiency = off(trial.efficiency, point.efficiency)
  const messages = off(trial.messages, point.messages)
  if (Math.abs(efficiency) > 0.01) misses.push(`${nameOf(point)}: efficiency off by ${percent(efficiency)}`)
  if (Math.abs(messages) > 0.2) misses.push(`${nameOf(point)}: messages off by ${percent(messages)}`)
  return misses
}

function defaultMisses(count: number, random: SeededRandom, log: (line: string) => void): string[] {
  const misses: string[] = []
  for (const errorRate of [0.01, 0.02, 0.03, 0.04, 0.05]) {
    const trial = tryCascade({ variant: 'default', sizeBits: 65_536, errorRate }, { frames: count, random })
    const name = `default n=65536 q=${errorRate}`
    log(
      `${name}: efficiency ${trial.efficiency.toFixed(4)}, messages ${trial.messages.toFixed(0)}, frame errors ${trial.frameErrors} of ${count}`,
    )
    if (trial.efficiency > 1.06) misses.push(`${name}: efficiency ${trial.efficiency.toFixed(4)} is above 1.06`)
    if (trial.frameErrors / count >= 1e-3) misses.push(`${name}: ${trial.frameErrors} frame errors in ${count}`)
  }
  return misses
}

function describe(point: PublishedPoint, trial: CascadeTrial, frames: number): string {
  return [
    `${nameOf(point)}:`,
    `efficiency ${trial.efficiency.toFixed(4)} (${percent(trial.efficiency / point.efficiency - 1)}),`,
    `messages ${trial.messages.toFixed(1)} (${percent(trial.messages / point.messages - 1)}),`,
    `frame errors ${trial.frameErrors} of ${frames} (published ${Math.round(point.frameErrorRate * point.runs)} of ${point.runs})`,
  ].join(' ')
}

function nameOf({ variant, sizeBits, errorRate }: PublishedPoint): string {
  return `${variant} n=${sizeBits} q=${errorRate}`
}

function percent(share: number): string {
  return `${share < 0 ? '' : '+'}${(share * 100).toFixed(2)} %`
}
