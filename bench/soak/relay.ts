import { type RelayTraceReport, runRelayTrace } from '../../test/helpers/relay-trace.ts'
import type { SoakOptions } from '../soak.ts'

/** Chunks of 1,024 bytes that a block with its tags has. */
const CHUNKS_PER_BLOCK = 32
/** One block in a chunk for so many small chunks. */
const SMALL_PER_LARGE = 100

/**
 * `count` chunks of 1 KiB over three hops between four processes, then a hundredth of it in chunks of a whole block, and once
 * more with relays that announce, while relays and ends are killed with SIGKILL. Fails where link key served twice, or a block
 * differs, comes twice or sticks.
 */
export async function run({ count = 10_000, log }: SoakOptions): Promise<void> {
  const many = count >= 100_000
  const common = { killEveryMs: many ? 10_000 : 4000, minKills: many ? 20 : 3, log }
  const small = await runRelayTrace({ ...common, blocks: Math.ceil(count / CHUNKS_PER_BLOCK), chunkBytes: 1024 })
  log(`1 KiB chunks: ${JSON.stringify(small)}`)
  const blocks = Math.ceil(count / SMALL_PER_LARGE)
  const large = await runRelayTrace({ ...common, blocks, chunkBytes: 32_768 })
  log(`32 KiB chunks: ${JSON.stringify(large)}`)
  const announced = await runRelayTrace({ ...common, blocks, chunkBytes: 32_768, announce: true })
  log(`announced: ${JSON.stringify(announced)}`)
  for (const report of [small, large, announced]) requireSound(report)
}

function requireSound(report: RelayTraceReport): void {
  const { bytesUsedTwice, different, twice } = report
  if (bytesUsedTwice + different + twice > 0) throw new Error(JSON.stringify(report))
}
