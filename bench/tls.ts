/**
 * Sessions under keys of the KMS beside node:tls alone, in one run: handshakes a second and processor time for each, bulk
 * throughput, memory of open connections, and the tunnel beside stunnel. Runs what a package would hold, not what the loader
 * of TypeScript makes of it: that one names every function anew at run time, which node:tls is spared.
 */
import type { BenchOptions, Report } from './report.ts'
import { buildToRun } from './tls/built.ts'

/** Runs the suite. */
export async function run(report: Report, options: BenchOptions): Promise<void> {
  await using built = await buildToRun()
  const { compare } = (await built.load('bench/tls/comparison')) as typeof import('./tls/comparison.ts')
  await compare(report, options)
}
