/**
 * The ETSI GS QKD 014 server beside a bare node:https server that answers the same bytes, in one run: calls a second, waiting
 * times and processor time, with store, policy and audit log as in operation. Runs what a package would hold.
 */
import type { BenchOptions, Report } from './report.ts'
import { buildToRun } from './tls/built.ts'

/** Runs the suite. */
export async function run(report: Report, options: BenchOptions): Promise<void> {
  await using built = await buildToRun()
  const { compare } = (await built.load('bench/etsi014/comparison')) as typeof import('./etsi014/comparison.ts')
  await compare(report, options)
}
