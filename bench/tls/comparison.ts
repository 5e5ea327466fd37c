import type { BenchOptions, Report } from '../report.ts'
import { measureBulk } from './bulk.ts'
import { createEnds } from './ends.ts'
import { measureHandshakes } from './handshakes.ts'
import { measureMemory } from './memory.ts'
import { measureTls12 } from './tls12.ts'
import { measureTunnel } from './tunnel.ts'

const MIB = 1024 * 1024

/** Runs every measurement of the suite. */
export async function compare(report: Report, { quick }: BenchOptions): Promise<void> {
  const sliceBytes = (quick ? 4 : 32) * MIB
  {
    await using ends = await createEnds({ sliceBytes, all: true })
    await measureHandshakes(report, { quick, ends })
    await measureBulk(report, { slices: quick ? 3 : 20, ends })
  }
  await measureTls12(report, { slices: quick ? 3 : 20, sliceBytes })
  await measureMemory(report, { connections: quick ? 200 : 2000, rounds: quick ? 1 : 3 })
  await measureTunnel(report, { slices: quick ? 3 : 20, sliceBytes })
}
