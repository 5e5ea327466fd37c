/**
 * A site that serves its hosts from two workers beside one that does it all in one process, in one run: calls a second, waiting
 * times, and the processor time of the owner of the pools and of its workers. Stores on disk. Runs what a package would hold.
 */
import type { BenchOptions, Report } from './report.ts'
import { buildToRun } from './tls/built.ts'

/** Runs the suite. */
export async function run(report: Report, options: BenchOptions): Promise<void> {
  await using built = await buildToRun()
  const { compare } = (await built.load('bench/workers/comparison')) as typeof import('./workers/comparison.ts')
  await compare(report, options)
}
